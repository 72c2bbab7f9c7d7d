-- Loads sessions. KEYS: of each one its hash, and the three of the position of its topic. ARGV: of each one the position.
-- Answers with the revision, the body, where the topic is, and where it was at the beginning.
local found = {}
for i = 1, #KEYS / 4 do
    local key = 4 * i - 3
    local fields = redis.call('HMGET', KEYS[key], 'revision', 'body', 'begin')
    if fields[2] then
        local epoch, last = bus_position(key + 1, ARGV[2 * i - 1], ARGV[2 * i])
        found[i] = { fields[1], fields[2], { epoch, last }, fields[3] and cjson.decode(fields[3]) or '' }
    else
        found[i] = ''
    end
end
return found
