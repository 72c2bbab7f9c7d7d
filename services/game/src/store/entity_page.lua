-- Reads entities in the order of their ids. KEYS: the entities, their ids, and the three of the position of the session's
-- topic. ARGV: where to begin, as ZRANGEBYLEX takes it, the most, the most bytes after which no further one follows, and the
-- position. Answers with whether others follow, where the topic is, and the entities.
local ids = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], '+', 'LIMIT', 0, ARGV[2] + 1)
local entities, bytes, more = {}, 0, 0
for i, id in ipairs(ids) do
    if i > tonumber(ARGV[2]) or bytes > tonumber(ARGV[3]) then
        more = 1
        break
    end
    local entity = redis.call('HGET', KEYS[1], id)
    if entity then
        entities[#entities + 1] = entity
        bytes = bytes + #entity
    end
end
local epoch, last = bus_position(3, ARGV[4], ARGV[5])
return { more, { epoch, last }, entities }
