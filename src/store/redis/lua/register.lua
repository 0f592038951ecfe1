-- Makes a node known, or known again. ARGV: the node, and the newest id that it has seen. Returns Redis's
-- time. If there is no log, one begins, with an entry that says so: the presence must be built anew.
local node, seen = ARGV[3], tonumber(ARGV[4])
redis.call('HINCRBY', key('beats'), node, 1)
redis.call('HSETNX', key('runs'), node, '0')
last = math.max(last, seen)
if not head[1] then
  tell(next_id(), 0, 'began')
end
write_head()
return { whole(now) }
