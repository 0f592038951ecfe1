-- Takes some members of a node away, and in the end the node itself. ARGV: the node, its last heartbeat
-- (if it is another one by now, the node lives; empty for a node that leaves), and the most members.
-- Returns the number of members that are left.
local node, beat, limit = ARGV[3], ARGV[4], ARGV[5]
if beat ~= '' and redis.call('HGET', key('beats'), node) ~= beat then
  return 0
end
local members = key('members:' .. node)
local some = redis.call('HRANDFIELD', members, limit, 'WITHVALUES')
-- First of all: if the node lives after all, it notices, and brings its members again.
redis.call('HDEL', key('runs'), node)
for place = 1, #some, 2 do
  redis.call('HDEL', members, some[place])
  tell(next_id(), 64, 'left', 'n', node, 'm', some[place], 'r', cjson.decode(some[place + 1]).room)
end
local rest = redis.call('HLEN', members)
if rest == 0 then
  redis.call('HDEL', key('beats'), node)
end
write_head()
return rest
