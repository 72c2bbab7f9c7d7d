-- Reads a topic: where it ends, and what is retained after an offset.
--
-- KEYS: topic, stream, ids. ARGV: the epoch of the topic if there is none yet, how long to remember it (ms), the offset or
-- nothing, the most events, and the most bytes after which no further one follows.
local epoch, last, ended = bus_position(1, ARGV[1], ARGV[2])
local events, more = {}, 0
if ARGV[3] ~= '' then
    local found = redis.call('XRANGE', KEYS[2], '(' .. ARGV[3] .. '-0', '+', 'COUNT', ARGV[4])
    local bytes, limit = 0, tonumber(ARGV[5])
    for i, entry in ipairs(found) do
        events[i] = { string.match(entry[1], '^%d+'), entry[2][2], entry[2][4] }
        bytes = bytes + #entry[2][4]
        if bytes > limit then break end
    end
    if #events < #found or #found == tonumber(ARGV[4]) then more = 1 end
end
return { epoch, last, ended and 1 or 0, more, events }
