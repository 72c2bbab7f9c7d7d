-- ARGV: the players.
local players, values, ranks = {}, {}, {}
for i, value in ipairs(redis.call('HMGET', KEYS[3], unpack(ARGV, 2))) do
    if value then
        local n, player = #players + 1, ARGV[i + 1]
        players[n], values[n] = player, value
        ranks[n] = redis.call('ZRANK', KEYS[2], string.sub(value, 1, ENTRY) .. player)
    end
end
return board_answer(ranks, players, values)
