-- Refuses JSON bodies that Envoy's transcoder would take for something else: it drops fields that it does not know, and
-- a misspelt field must be an error, not silence. Answers as `muster dev` does. Runs for paths of the JSON API alone.
--
-- The tables (`routes`, `messages`) come from `muster descriptors`. A body is read once, left to right; what it costs
-- is bounded by the route's request_body_buffer_limit and by MAX_DEPTH.

local api = require("muster_api")

local MAX_DEPTH = 100
local MAX_ECHO = 200

local STATUS = '{"code":%d,"message":"%s","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",'
  .. '"reason":"%s","domain":"muster","metadata":%s}%s]}'
local VIOLATION = ',{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":'
  .. '[{"field":"%s","description":"%s"}]}'

local read_value

function envoy_on_request(handle)
  local headers = handle:headers()
  local content_type = headers:get("content-type")
  if content_type and content_type:find("^application/grpc") then
    return
  end
  local route, allowed = find_route(headers:get(":method"), headers:get(":path"):match("^[^?]*"))
  if allowed then
    return refuse(handle, "405", 12, "this path does not take this method", "METHOD_NOT_ALLOWED", nil, { allow = allowed })
  end
  if not route or not route.body then
    return
  end

  local body = handle:body()
  if not body or body:length() == 0 then
    return
  end
  if not is_json(content_type) then
    return refuse(handle, "415", 3, "the body must be JSON in UTF-8, not compressed", "UNSUPPORTED_CONTENT_TYPE")
  end
  local ok, fault = pcall(check, body:getBytes(0, body:length()), route.body)
  if ok then
    return
  end
  if type(fault) ~= "table" then
    error(fault)
  end
  if fault.field then
    local message = "the field `" .. fault.field .. "` is not valid"
    return refuse(handle, "400", 3, message, "INVALID_FIELD", fault.field)
  end
  refuse(handle, "400", 3, "the body is not JSON: byte " .. fault.position, "MALFORMED_JSON")
end

-- What gRPC says in a status, HTTP says in headers too.
function envoy_on_response(handle)
  local headers = handle:headers()
  headers:remove("grpc-status")
  local status = headers:get(":status")
  if status == "401" and not headers:get("www-authenticate") then
    headers:add("www-authenticate", "Bearer")
  elseif (status == "429" or status == "503") and not headers:get("retry-after") then
    local body = handle:body()
    local delay = body and body:getBytes(0, body:length()):match('"retryDelay":"([%d.]+)s"')
    if delay then
      -- Not `headers`: that one is gone once the body was waited for.
      handle:headers():add("retry-after", tostring(math.ceil(tonumber(delay))))
    end
  end
end

-- The route of a path, or the methods that the path takes instead of this one.
function find_route(method, path)
  local allowed = {}
  for _, route in ipairs(api.routes) do
    if path:find(route.path) then
      if route.method == method then
        return route, nil
      end
      allowed[#allowed + 1] = route.method
    end
  end
  return nil, allowed[1] and table.concat(allowed, ", ")
end

-- curl sends a form's type unless it is told otherwise; a form has no meaning here.
function is_json(content_type)
  if not content_type then
    return true
  end
  local media = content_type:lower():match("^[^;%s]*")
  return media == "application/json"
    or media == "application/x-www-form-urlencoded"
    or media:find("^application/.+%+json$") ~= nil
end

-- Raises what is wrong with a text that is to be a message (by name), or any value (true).
function check(text, kind)
  local position = skip(text, read_value(text, skip(text, 1), kind, "", 0))
  if position <= #text then
    malformed(position)
  end
end

function malformed(position)
  error({ position = position })
end

function skip(text, position)
  return text:find("[^ \t\r\n]", position) or #text + 1
end

-- Each of these reads what begins at the position and returns the position after it.
function read_value(text, position, kind, place, depth)
  if depth > MAX_DEPTH then
    malformed(position)
  end
  local first = text:sub(position, position)
  if first == "{" then
    return read_object(text, position, kind, place, depth)
  elseif first == "[" then
    return read_list(text, position, kind, place, depth)
  elseif first == '"' then
    return read_string(text, position)
  end
  local literal = text:match("^[%w+.-]+", position)
  local is_number = literal and literal:find("^-?%d[%d.eE+-]*$") and tonumber(literal)
  if not is_number and literal ~= "true" and literal ~= "false" and literal ~= "null" then
    malformed(position)
  end
  return position + #literal
end

function read_object(text, position, kind, place, depth)
  local fields, values = nil, true
  if type(kind) == "string" then
    fields = api.messages[kind]
  elseif type(kind) == "table" then
    values = kind[1]
  end
  position = skip(text, position + 1)
  if text:sub(position, position) == "}" then
    return position + 1
  end
  while true do
    if text:sub(position, position) ~= '"' then
      malformed(position)
    end
    local after = read_string(text, position)
    local name = text:sub(position + 1, after - 2)
    local echoed = place .. name:gsub("[^%w_]", "?")
    local inner = values
    if fields then
      inner = fields[name]
      if inner == nil then
        error({ field = echoed:sub(1, MAX_ECHO) })
      end
    end
    position = skip(text, after)
    if text:sub(position, position) ~= ":" then
      malformed(position)
    end
    position = skip(text, read_value(text, skip(text, position + 1), inner, echoed .. ".", depth + 1))
    local next = text:sub(position, position)
    if next == "}" then
      return position + 1
    elseif next ~= "," then
      malformed(position)
    end
    position = skip(text, position + 1)
  end
end

function read_list(text, position, kind, place, depth)
  position = skip(text, position + 1)
  if text:sub(position, position) == "]" then
    return position + 1
  end
  local index = 0
  while true do
    local inner = place:gsub("%.$", "") .. "[" .. index .. "]."
    position = skip(text, read_value(text, position, kind, inner, depth + 1))
    local next = text:sub(position, position)
    if next == "]" then
      return position + 1
    elseif next ~= "," then
      malformed(position)
    end
    position = skip(text, position + 1)
    index = index + 1
  end
end

function read_string(text, position)
  local at = position + 1
  while true do
    at = text:find('[%z\1-\31"\\]', at)
    local character = at and text:sub(at, at)
    if character == '"' then
      return at + 1
    elseif character == "\\" and text:find('^["\\/bfnrt]', at + 1) then
      at = at + 2
    elseif character == "\\" and text:find("^u%x%x%x%x", at + 1) then
      at = at + 6
    else
      malformed(at or position)
    end
  end
end

function refuse(handle, status, code, message, reason, field, more)
  local metadata, violation = "{}", ""
  if field then
    metadata = '{"field":"' .. field .. '"}'
    violation = VIOLATION:format(field, "there is no such field")
  end
  local headers = more or {}
  headers[":status"] = status
  headers["content-type"] = "application/json"
  headers["x-request-id"] = handle:headers():get("x-request-id")
  handle:respond(headers, STATUS:format(code, message, reason, metadata, violation))
end
