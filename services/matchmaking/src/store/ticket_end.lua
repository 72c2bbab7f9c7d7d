-- Ends tickets that wait. ARGV from 3 on: the reason, how long they are kept from now on (ms), and ids. Answers for each
-- with its status before ('' if it is not there) and why it had ended ('' if it had not).
local answers, changed, leaving = {}, {}, {}
for i = 5, #ARGV do
    local id = ARGV[i]
    local key = ticket_key(id)
    local status, reason, players = unpack(redis.call('HMGET', key, 'status', 'reason', 'players'))
    if status == 'queued' then
        finish(key, id, players, ARGV[4], 'status', 'ended', 'reason', ARGV[3])
        changed[#changed + 1] = id
    end
    if status == 'queued' or not status then leaving[#leaving + 1] = id end
    answers[#answers + 1] = { status or '', reason or '' }
end
leave(leaving)
tell_changed(changed)
return answers
