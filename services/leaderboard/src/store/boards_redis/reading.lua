-- What scripts that read boards share. KEYS: the state, the ranks, the values. ARGV: the name of the period, and more.
local state = redis.call('HMGET', KEYS[1], 'offset', 'erasures', 'p:' .. ARGV[1])
if not state[1] then return 0 end
local total = redis.call('ZCARD', KEYS[2])
if state[3] and (total == 0 or redis.call('EXISTS', KEYS[3]) == 0) then return 0 end

-- Texts of which there are many come as one: the players one after another, the values as MessagePack's array.
local function board_answer(ranks, players, values)
    return { state[1], state[2], total, ranks, table.concat(players), cmsgpack.pack(values) }
end

-- Members that follow one another, and the rank of the first.
local function board_view(first, members)
    for i, member in ipairs(members) do members[i] = string.sub(member, ENTRY + 1) end
    return board_answer(first, members, #members > 0 and redis.call('HMGET', KEYS[3], unpack(members)) or {})
end
