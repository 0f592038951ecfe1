-- Adds a user. ARGV: the name, its folded form, the hash of the key, the most users. Returns the number and
-- the time; or `taken` or `full`. The same key and name again is the same user: an answer may get lost.
local name, folded, hash, most = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local id = redis.call('HGET', key('keys'), hash)
if id then
  local user = cjson.decode(redis.call('HGET', key('users'), id))
  return user.folded == folded and { id, whole(user.created_at) } or 'taken'
end
if redis.call('HEXISTS', key('folded'), folded) == 1 then
  return 'taken'
end
if redis.call('ZCARD', key('ids')) >= most then
  return 'full'
end
id = redis.call('HINCRBY', key('layout'), 'user', 1)
local user = { name = name, folded = folded, key = hash, created_at = tonumber(time[1]) }
redis.call('HSET', key('users'), id, cjson.encode(user))
redis.call('HSET', key('folded'), folded, id)
redis.call('HSET', key('keys'), hash, id)
redis.call('ZADD', key('ids'), id, id)
return { id, time[1] }
