-- ARGV: the member after which to begin, or nothing, and the most.
local after = ARGV[2] == '' and '-' or '(' .. ARGV[2]
local members = redis.call('ZRANGEBYLEX', KEYS[2], after, '+', 'LIMIT', 0, ARGV[3])
return board_view(members[1] and redis.call('ZRANK', KEYS[2], members[1]) or 0, members)
