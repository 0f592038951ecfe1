-- Appends a batch of a node's entries: all of them, or none. ARGV: the node, the number of the batch, the
-- most messages and bytes of a room, then the entries (see `next_argument`). Returns Redis's time, and
-- what became of each entry: `+ID` kept, `=ID` a repetition of this message, `-` too late, `.` news.
-- Without the latter, Redis does not know the node.
--
-- A batch whose answer was lost is sent again. So the answer to the last batch of each node is kept,
-- and given again. A batch that arrives late (its connection was already given up) does no harm: it
-- was appended, or its entries are too late by then.
local node, batch = ARGV[3], tonumber(ARGV[4])
local max_messages, max_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])

local run = redis.call('HGET', key('runs'), node)
if not run then
  return { whole(now) }
end
local done, answers = string.match(run, '^(%d+) ?(.*)$')
if tonumber(done) >= batch then
  return { whole(now), answers }
end

local place = 6
local function next_argument()
  place = place + 1
  return ARGV[place]
end

-- The rooms that this batch touches. They are written at the end.
local rooms = {}

local function find_room(name)
  local room = rooms[name]
  if not room then
    local known = redis.call('HMGET', key('room:' .. name), 'count', 'bytes', 'gone')
    room = { is_new = not known[1], gone = known[3] or '0' }
    room.count, room.bytes = tonumber(known[1] or 0), tonumber(known[2] or 0)
    rooms[name] = room
  end
  return room
end

-- The message that was kept with this origin. If a user has said it whose session was a guest's before,
-- it is known to that guest only on the same seat: a message of the guest may come here late, from
-- another node.
local function find(name, origin, member)
  local known = origin ~= '' and redis.call('HGET', key('refs:' .. name), origin)
  if not known then
    return nil
  end
  local id, seat = string.match(known, '^(%d+) ?(.*)$')
  return (seat == '' or seat == member) and id or nil
end

-- Drops the oldest messages of a room. Their payloads go later: see `write_room`.
local function drop_oldest(name, room, count)
  local all, origins = redis.call('LPOP', key('order:' .. name), count) or {}, {}
  for _, oldest in ipairs(all) do
    local id, size, guest, origin = string.match(oldest, '^(%d+) (%d+) (%S+) (.*)$')
    if origin ~= '' then
      origins[#origins + 1] = origin
    end
    local as_guest = guest .. string.sub(origin, #guest + 1)
    if guest ~= '-' and string.match(redis.call('HGET', key('refs:' .. name), as_guest) or '', '^%d+') == id then
      origins[#origins + 1] = as_guest
    end
    room.bytes, room.gone, room.has_dropped = room.bytes - size, id, true
  end
  if #origins > 0 then
    redis.call('HDEL', key('refs:' .. name), unpack(origins))
  end
  room.count = room.count - count
  if #all < count then
    room.count, room.bytes = 0, 0
  end
end

-- Keeps a message in its room's history, and drops the oldest ones beyond the bounds. If the bounds
-- are smaller than before, they are reached within a few messages, so that no call takes long.
local function keep(name, id, size, origin, guest, header, field, payload)
  local room = find_room(name)
  redis.call('XADD', key('kept:' .. name), id .. '-0', 'h', header, field, payload)
  redis.call('RPUSH', key('order:' .. name), id .. ' ' .. size .. ' ' .. guest .. ' ' .. origin)
  if origin ~= '' then
    redis.call('HSET', key('refs:' .. name), origin, id)
  end
  room.count, room.bytes, room.last = room.count + 1, room.bytes + size, id
  room.first = room.first or id
  local limit = 1024
  while limit > 0 and room.count > 1 and (room.count > max_messages or room.bytes > max_bytes) do
    local count = math.min(limit, math.max(room.count - math.max(max_messages, 1), 1))
    drop_oldest(name, room, count)
    limit = limit - count
  end
end

-- `stays` says whether the message stays in the history; if not, it has no origin to be known by.
local function message(stays)
  local own, deadline, name, member = next_argument(), next_argument(), next_argument(), next_argument()
  local size, origin, as_guest = next_argument(), next_argument(), next_argument()
  local header, field, payload = next_argument(), next_argument(), next_argument()
  if now > tonumber(deadline) then
    return '-'
  end
  local before = stays and (find(name, origin, member) or find(name, as_guest, member))
  if before then
    return '=' .. before
  end
  local id = next_id()
  tell(id, #header + #payload, 'message', 'n', node, 'o', own, 'r', name, 'm', member, 'h', header, field, payload)
  if stays then
    local is_seated = as_guest ~= '' and member ~= ''
    keep(name, whole(id), size, origin, is_seated and string.sub(as_guest, 1, 32) or '-', header, field, payload)
    if is_seated then
      redis.call('HSET', key('refs:' .. name), as_guest, whole(id) .. ' ' .. member)
    end
  end
  return '+' .. whole(id), name, id
end

-- An act is a message. Then come what it removes (`-` nothing, `*` all before it, or an id), the number of
-- fields of the room's rules that it changes, and of each the name, `+` or `-`, and the new value. What
-- is removed keeps its place in `order`, and its origin: sent again, it is not kept again.
local function act()
  local said, name, id = message(max_messages > 0)
  local removed, count = next_argument(), tonumber(next_argument())
  if id and removed == '*' then
    redis.call('XTRIM', key('kept:' .. name), 'MINID', whole(id))
  elseif id and removed ~= '-' then
    redis.call('XDEL', key('kept:' .. name), removed .. '-0')
  end
  for _ = 1, count do
    local field, has_value, value = next_argument(), next_argument(), next_argument()
    if id and has_value == '+' then
      redis.call('HSET', key('rules:' .. name), field, value)
    elseif id then
      redis.call('HDEL', key('rules:' .. name), field)
    end
  end
  if id and count > 0 then
    local has_rules = redis.call('EXISTS', key('rules:' .. name)) == 1
    redis.call(has_rules and 'SADD' or 'SREM', key('ruled'), name)
  end
  return said
end

local function present(kind)
  local member, record = next_argument(), next_argument()
  redis.call('HSET', key('members:' .. node), member, record)
  tell(next_id(), #record, kind, 'j', record)
  return '.'
end

local function left()
  local member, name = next_argument(), next_argument()
  -- The others may have removed it already: then they have told so.
  if redis.call('HDEL', key('members:' .. node), member) == 1 then
    tell(next_id(), 64, 'left', 'n', node, 'm', member, 'r', name)
  end
  return '.'
end

local function typing()
  local member, name = next_argument(), next_argument()
  tell(next_id(), 64, 'typing', 'm', member, 'r', name)
  return '.'
end

local function write_room(name, room)
  if room.is_new then
    -- The room may have existed before, and been forgotten.
    redis.call('HSET', key('room:' .. name), 'born', whole(room.first - 1))
    redis.call('ZADD', key('names'), 0, name)
  end
  redis.call('HSET', key('room:' .. name),
    'last', room.last, 'gone', room.gone, 'count', room.count, 'bytes', room.bytes)
  redis.call('ZADD', key('rooms'), room.last, name)
  if room.has_dropped then
    -- Whole nodes of the stream only, which is cheap: at most 4 KiB stay too long, and nobody sees them.
    redis.call('XTRIM', key('kept:' .. name), 'MINID', '~', whole(room.gone + 1))
  end
end

local said = {}
while place < #ARGV do
  local kind = next_argument()
  if kind == 'message' then
    said[#said + 1] = message(max_messages > 0)
  elseif kind == 'passing' then
    said[#said + 1] = message(false)
  elseif kind == 'act' then
    said[#said + 1] = act()
  elseif kind == 'left' then
    said[#said + 1] = left()
  elseif kind == 'typing' then
    said[#said + 1] = typing()
  else
    said[#said + 1] = present(kind)
  end
end
local made = 0
for name, room in pairs(rooms) do
  write_room(name, room)
  made = made + (room.is_new and 1 or 0)
end
if made > 0 then
  local excess = math.min(redis.call('ZCARD', key('rooms')) - 100000, 2 * made)
  if excess > 0 then
    for _, name in ipairs(redis.call('ZRANGE', key('rooms'), 0, excess - 1)) do
      forget_room(name)
    end
  end
end
answers = table.concat(said, ' ')
redis.call('HSET', key('runs'), node, batch .. ' ' .. answers)
write_head()
return { whole(now), answers }
