-- Makes a node known, or known again. ARGV: the node, and the newest id that it has seen.
--
-- If there is no log, one begins, with an entry that says so: the presence must be built anew. Ids go on
-- behind what the nodes have seen of a log that was lost.
local node, seen = ARGV[3], tonumber(ARGV[4])
redis.call('HINCRBY', key('beats'), node, 1)
redis.call('HSETNX', key('runs'), node, '0')
if not head[1] then
  last = seen
  tell(next_id(), 0, 'began')
else
  last = math.max(last, seen)
end
write_head()
return { whole(now) }
