-- Several at once. ARGV: of each the player, and how many.
local views = {}
for i = 2, #ARGV, 2 do
    local player, count = ARGV[i], tonumber(ARGV[i + 1])
    local value, first, members = redis.call('HGET', KEYS[3], player), 0, {}
    if value then
        local rank = redis.call('ZRANK', KEYS[2], string.sub(value, 1, ENTRY) .. player)
        first = math.max(0, math.min(rank - math.floor(count / 2), total - count))
        members = redis.call('ZRANGE', KEYS[2], first, first + count - 1)
    end
    views[#views + 1] = board_view(first, members)
end
return views
