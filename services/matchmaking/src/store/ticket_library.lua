-- What every script of tickets begins with.
--
-- KEYS: 1 tickets that wait, by their arrival numbers; 2 by when they expire; 3 by the last sign of life; 4 by when
-- somebody asked why; 5 claims, by their deadlines; 6 claims, the tickets of each; 7 the last arrival number; 8 the
-- highest epoch; 9 the queues of the game; 10 the channel of the game's news. ARGV: 1 what the keys of the game begin
-- with, 2 now (ms). Times in scores are milliseconds.
--
-- A ticket is a hash at `ticket:ID`: status, body, players (with blanks between), expires, seen, and later match, reason,
-- ended, why. A player is held by the ticket whose id is at `player:ID`, if that one waits or is being matched. Both are
-- found on the way, so not all keys are given. They lie in the same slot, and while a slot moves from one node to another no
-- script runs half here, half there: the channel is never a key, and a node refuses a script of which it has some keys only.
local WAITING, EXPIRING, SEEN, ASKED, CLAIMS, CLAIMED, COUNTER, EPOCH, QUEUES, NEWS = unpack(KEYS, 1, 10)
local BASE, NOW = ARGV[1], ARGV[2]

local function ticket_key(id) return BASE .. ':ticket:' .. id end

local function player_key(id) return BASE .. ':player:' .. id end

-- The epoch is too old: the answer to that; else it is noted.
local function fenced(epoch)
    local highest = redis.call('GET', EPOCH)
    if highest and tonumber(highest) > tonumber(epoch) then return { -1, highest } end
    if highest ~= epoch then redis.call('SET', EPOCH, epoch) end
    return nil
end

-- Puts tickets into the queue: lists of when they expire, of their last sign of life, and of ids, each after its score.
-- Scripts change few enough of them for one call. Arrival numbers are the time in microseconds, or one more than the last:
-- so they rise also after everything was lost, and below 2^53 a double holds them exactly.
local function arrive(expiring, seen)
    if #seen == 0 then return end
    local time = redis.call('TIME')
    local number = math.max(time[1] * 1000000 + time[2], (redis.call('GET', COUNTER) or 0) + 1)
    local waiting = {}
    for i = 2, #seen, 2 do
        waiting[i - 1], waiting[i] = string.format('%.0f', number), seen[i]
        number = number + 1
    end
    redis.call('SET', COUNTER, waiting[#waiting - 1])
    redis.call('ZADD', WAITING, unpack(waiting))
    redis.call('ZADD', EXPIRING, unpack(expiring))
    redis.call('ZADD', SEEN, unpack(seen))
end

local function leave(ids)
    if #ids == 0 then return end
    for _, key in ipairs({ WAITING, EXPIRING, SEEN, ASKED }) do redis.call('ZREM', key, unpack(ids)) end
end

-- The ticket is matched or has ended, which two of its fields say: its players are free, and it is forgotten after a
-- time (ms).
local function finish(key, id, players, kept, ...)
    redis.call('HSET', key, 'ended', NOW, ...)
    redis.call('HDEL', key, 'why')
    redis.call('PEXPIRE', key, kept)
    for player in string.gmatch(players, '%S+') do
        local claim = player_key(player)
        if redis.call('GET', claim) == id then redis.call('DEL', claim) end
    end
end

local function tell_changed(ids)
    if #ids > 0 then redis.call('SPUBLISH', NEWS, 'C' .. table.concat(ids, ',')) end
end

-- Of tickets that a match is being made with: soon there is more to tell.
local function tell_claimed(ids)
    if #ids > 0 then redis.call('SPUBLISH', NEWS, 'M' .. table.concat(ids, ',')) end
end

local function tell_arrived(queue) redis.call('SPUBLISH', NEWS, 'A' .. queue) end
