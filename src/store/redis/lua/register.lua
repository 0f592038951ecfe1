-- Makes a node known, or known again. ARGV: the node, and the newest id that it has seen.
--
-- If there is no log, one begins, with an entry that says so: the presence must be built anew. Ids go on
-- behind what this node has seen of a log that was lost. If another node has seen more of that, it says
-- so when it comes: who has seen less has missed something.
local node, seen = ARGV[3], tonumber(ARGV[4])
redis.call('HINCRBY', key('beats'), node, 1)
redis.call('HSETNX', key('runs'), node, '0')
if not head[1] then
  last = seen
  tell(next_id(), 0, 'began')
  redis.call('HSET', key('head'), 'begun', whole(last))
elseif seen > 0 and seen < tonumber(redis.call('HGET', key('head'), 'begun') or 0) then
  tell(next_id(), 0, 'returned', 's', whole(seen))
else
  last = math.max(last, seen)
end
write_head()
return { whole(now) }
