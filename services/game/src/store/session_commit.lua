-- Saves a session and publishes what happened in it, if its revision is the expected one.
--
-- KEYS: the session, its connections, its entities, their ids, and the four of the publication. ARGV: the expected
-- revision (0 if there is no session), the body, when to forget it (ms), whether it goes on (1 or 0), whether its content
-- goes, and the publication. Answers with 0 for a conflict, -1 if the topic has ended, or 1 and what was published.
local revision = redis.call('HGET', KEYS[1], 'revision') or '0'
if revision ~= ARGV[1] then return { 0 } end
local published = bus_publish(5, 6)
if not published then return { -1 } end
if revision == '0' and published[3] then
    redis.call('HSET', KEYS[1], 'begin', cjson.encode({ published[1], published[3][1] }))
end
redis.call('HSET', KEYS[1], 'revision', string.format('%.0f', revision + 1), 'body', ARGV[2], 'goes_on', ARGV[4])
if ARGV[5] == '1' then redis.call('DEL', KEYS[3], KEYS[4]) end
for _, key in ipairs({ KEYS[1], KEYS[3], KEYS[4] }) do redis.call('PEXPIREAT', key, ARGV[3]) end
return { 1, published }
