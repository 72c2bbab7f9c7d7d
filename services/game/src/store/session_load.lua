-- Loads sessions. KEYS: their hashes. Answers with the revision, the body, and where their topics are and were at the
-- beginning.
local found = {}
for i, key in ipairs(KEYS) do
    local fields = redis.call('HMGET', key, 'revision', 'body', 'at', 'begin')
    if fields[2] then
        local at, begin = fields[3] and cjson.decode(fields[3]) or '', fields[4] and cjson.decode(fields[4]) or ''
        found[i] = { fields[1], fields[2], at, begin }
    else
        found[i] = ''
    end
end
return found
