-- ARGV from 3 on: how many claims at most. Answers with the match, the deadline and the tickets of each that is overdue.
local found = redis.call('ZRANGEBYSCORE', CLAIMS, '-inf', NOW, 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local claims = {}
for i = 1, #found, 2 do
    claims[#claims + 1] = { found[i], found[i + 1], redis.call('HGET', CLAIMED, found[i]) or '' }
end
return claims
