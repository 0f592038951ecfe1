-- Gives a user another name, and tells it. ARGV: the number, the name, its folded form. Returns when the user
-- was added; or `taken`; or nothing if there is no such user.
local id, name, folded = ARGV[3], ARGV[4], ARGV[5]
local known = redis.call('HGET', key('users'), id)
if not known then
  return false
end
local owner = redis.call('HGET', key('folded'), folded)
if owner and owner ~= id then
  return 'taken'
end
local user = cjson.decode(known)
redis.call('HDEL', key('folded'), user.folded)
redis.call('HSET', key('folded'), folded, id)
user.name, user.folded = name, folded
redis.call('HSET', key('users'), id, cjson.encode(user))
local told = cjson.encode({ id = tonumber(id), name = name, created_at = user.created_at })
tell(next_id(), #told, 'user-renamed', 'j', told)
write_head()
return { whole(user.created_at) }
