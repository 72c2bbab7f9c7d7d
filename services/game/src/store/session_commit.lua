-- Saves sessions and publishes what happened in them, each by itself and if its revision is the expected one.
--
-- KEYS: of each the session, its entities, their ids, and the four of the publication. ARGV: of each the expected revision
-- (0 if there is no session), the body, when to forget it (ms), whether it goes on (1 or 0), whether its content goes, and
-- the publication. Answers for each with 0 for a conflict, -1 if the topic has ended, or 1 and what was published.
local answers, a = {}, 1

local function commit(k, a)
    local publication = a + 5
    local revision = redis.call('HGET', KEYS[k], 'revision') or '0'
    if revision ~= ARGV[a] then return { 0 }, bus_after(publication) end
    local published, after = bus_publish(k + 3, publication)
    if not published then return { -1 }, after end
    local fields = { 'revision', string.format('%.0f', revision + 1), 'body', ARGV[a + 1], 'goes_on', ARGV[a + 3] }
    local is_new = revision == '0'
    if is_new and published[3] then
        fields[7], fields[8] = 'begin', '["' .. published[1] .. '","' .. published[3][1] .. '"]'
    end
    redis.call('HSET', KEYS[k], unpack(fields))
    redis.call('PEXPIREAT', KEYS[k], ARGV[a + 2])
    if ARGV[a + 4] == '1' then
        redis.call('DEL', KEYS[k + 1], KEYS[k + 2])
    elseif not is_new then
        redis.call('PEXPIREAT', KEYS[k + 1], ARGV[a + 2])
        redis.call('PEXPIREAT', KEYS[k + 2], ARGV[a + 2])
    end
    return { 1, published }, after
end

for k = 1, #KEYS, 7 do
    answers[#answers + 1], a = commit(k, a)
end
return answers
