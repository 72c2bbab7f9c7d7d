-- Which ticket holds each player. KEYS: the queues of the game, the channel of its news. ARGV: what the keys of the game
-- begin with, and players. Answers with '' for a player that none holds.
local answers = {}
for i = 2, #ARGV do
    local id = redis.call('GET', ARGV[1] .. ':player:' .. ARGV[i])
    local status = id and redis.call('HGET', ARGV[1] .. ':ticket:' .. id, 'status')
    answers[#answers + 1] = (status == 'queued' or status == 'matching') and id or ''
end
return answers
