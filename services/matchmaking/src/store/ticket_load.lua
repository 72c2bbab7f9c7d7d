-- ARGV from 3 on: ids. Answers for each with the fields of the ticket, all of them nothing if it is not there.
local answers = {}
for i = 3, #ARGV do
    answers[#answers + 1] =
        redis.call('HMGET', ticket_key(ARGV[i]), 'status', 'match', 'reason', 'ended', 'why', 'body')
end
return answers
