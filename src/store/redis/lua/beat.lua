-- The heartbeat of a node. ARGV: the node. Returns the count of heartbeats of each node, or nothing if
-- Redis does not know this one.
local node = ARGV[3]
if redis.call('HEXISTS', key('runs'), node) == 0 then
  return {}
end
redis.call('HINCRBY', key('beats'), node, 1)
return redis.call('HGETALL', key('beats'))
