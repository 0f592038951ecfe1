-- Gives out the number of a node, below 2^20. The first one is the time in seconds, so that numbers do
-- not start again at 1 when Redis has lost everything while nodes live.
local number = tonumber(redis.call('HGET', key('layout'), 'node') or time[1])
repeat
  number = (number + 1) % 1048576
until number > 0 and redis.call('HEXISTS', key('beats'), number) == 0
redis.call('HSET', key('layout'), 'node', number)
return number
