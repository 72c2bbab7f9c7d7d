-- ARGV from 3 on: ids and why they are not matched yet, by turns. Those that do not wait are skipped.
for i = 3, #ARGV, 2 do
    local key = ticket_key(ARGV[i])
    if redis.call('HGET', key, 'status') == 'queued' then redis.call('HSET', key, 'why', ARGV[i + 1]) end
end
