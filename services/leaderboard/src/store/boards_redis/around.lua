-- ARGV: the player, and how many.
local value = redis.call('HGET', KEYS[3], ARGV[2])
if not value then return board_view(0, {}) end
local rank = redis.call('ZRANK', KEYS[2], string.sub(value, 1, ENTRY) .. ARGV[2])
local first = math.max(0, math.min(rank - math.floor(ARGV[3] / 2), total - ARGV[3]))
return board_view(first, redis.call('ZRANGE', KEYS[2], first, first + ARGV[3] - 1))
