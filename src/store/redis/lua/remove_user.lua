-- Removes a user, and tells it. ARGV: the number. Returns whether there was one.
local id = ARGV[3]
local known = redis.call('HGET', key('users'), id)
if not known then
  return 0
end
local user = cjson.decode(known)
redis.call('HDEL', key('users'), id)
redis.call('HDEL', key('folded'), user.folded)
redis.call('HDEL', key('keys'), user.key)
redis.call('ZREM', key('ids'), id)
tell(next_id(), 0, 'user-removed', 'm', id)
write_head()
return 1
