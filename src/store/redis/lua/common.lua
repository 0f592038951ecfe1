-- What all scripts begin with. KEYS[1] is the head of the shard's log; ARGV[1] is the shard, ARGV[2] the
-- number of shards. A script runs alone and as a whole. Redis refuses all of it (out of memory, a
-- replica) at its first write, so nothing is ever half done.
local prefix = string.sub(KEYS[1], 1, -5)
local shard, shards = tonumber(ARGV[1]), tonumber(ARGV[2])

local function key(name)
  return prefix .. name
end

-- Lua would write a number above 10^14 as 1.7e+15.
local function whole(number)
  return string.format('%.0f', number)
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local head = redis.call('HMGET', key('head'), 'last', 'bytes')
-- The newest id, and the bytes of the log since the last mark.
local last, bytes = tonumber(head[1] or 0), tonumber(head[2] or 0)

-- The log is what nodes follow, no history: it need only outlast a node that was away for a moment.
-- It has at most so many entries, and so many stretches of a MiB. A mark is the first id of a stretch.
local MAX_ENTRIES, MARK, MAX_MARKS = 100000, 1048576, 64

-- The next id: the time, but always more than the last id, and equal to the shard modulo the number of
-- shards. So no id is given out twice, on whatever shard.
local function next_id()
  local id = math.max(last + 1, now)
  return id + (shard - id) % shards
end

-- Appends an entry of this many bytes to the log.
local function tell(id, size, kind, ...)
  redis.call('XADD', key('log'), 'MAXLEN', '~', MAX_ENTRIES, whole(id) .. '-0',
    'v', 1, 'k', kind, 'p', whole(last), ...)
  last, bytes = id, bytes + size + 64
  if bytes >= MARK then
    bytes = 0
    if redis.call('RPUSH', key('marks'), whole(id)) > MAX_MARKS then
      redis.call('XTRIM', key('log'), 'MINID', redis.call('LPOP', key('marks')))
    end
  end
end

-- Must be called at the end, if anything was told.
local function write_head()
  redis.call('HSET', key('head'), 'last', whole(last), 'bytes', bytes)
end

local function forget_room(name)
  redis.call('UNLINK', key('room:' .. name), key('kept:' .. name), key('order:' .. name), key('refs:' .. name))
  redis.call('ZREM', key('rooms'), name)
  redis.call('ZREM', key('names'), name)
end

