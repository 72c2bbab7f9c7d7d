-- Changes indexes of sessions, one after the other. KEYS: of each change the index. ARGV: of each change what is done (one
-- of those below), the member, and two more. Answers for each with a number.
local changes = {}

-- Lists a member.
function changes.add(key, member) return redis.call('ZADD', key, 0, member) end

function changes.remove(key, member) return redis.call('ZREM', key, member) end

-- Adds a member unless there are as many as `most`. Answers with whether it is in.
function changes.reserve(key, member, most)
    if redis.call('ZCARD', key) < tonumber(most) then
        redis.call('ZADD', key, 'NX', 0, member)
        return 1
    end
    return redis.call('ZSCORE', key, member) and 1 or 0
end

-- Says of a member that its session was saved: its score, which is 0 before.
function changes.saved(key, member) return redis.call('ZADD', key, 'XX', 1, member) end

-- A member that is there keeps the earlier time; one that is not is added.
function changes.schedule(key, member, at) return redis.call('ZADD', key, 'LT', at, member) end

-- Of many members the last ones are kept, for a time (ms).
function changes.note(key, member, kept, memory)
    redis.call('ZADD', key, 0, member)
    redis.call('ZREMRANGEBYRANK', key, 0, -kept - 1)
    return redis.call('PEXPIRE', key, memory)
end

-- Makes a join code the session's until then (ms). Answers with whether it was nobody's.
function changes.claim(key, session, ends) return redis.call('SET', key, session, 'NX', 'PXAT', ends) and 1 or 0 end

-- Gives a join code back, if it is the session's.
function changes.give_back(key, session)
    if redis.call('GET', key) == session then redis.call('DEL', key) end
    return 1
end

local answers = {}
for i, key in ipairs(KEYS) do
    local a = 4 * i - 3
    answers[i] = changes[ARGV[a]](key, ARGV[a + 1], ARGV[a + 2], ARGV[a + 3])
end
return answers
