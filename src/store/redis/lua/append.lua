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

-- The message that was kept with this origin.
local function find(name, origin)
  return origin ~= '' and redis.call('HGET', key('refs:' .. name), origin)
end

-- Drops the oldest message of a room. Its payload goes later: see `write_room`.
local function drop_oldest(name, room)
  local oldest = redis.call('LPOP', key('order:' .. name))
  if not oldest then
    room.count, room.bytes = 0, 0
    return
  end
  local id, size, origin = string.match(oldest, '^(%d+) (%d+) (.*)$')
  if origin ~= '' then
    redis.call('HDEL', key('refs:' .. name), origin)
  end
  room.count, room.bytes, room.gone, room.has_dropped = room.count - 1, room.bytes - size, id, true
end

-- Keeps a message in its room's history, and drops the oldest ones beyond the bounds. If the bounds
-- are smaller than before, they are reached little by little.
local function keep(name, id, size, origin, header, field, payload)
  local room = find_room(name)
  redis.call('XADD', key('kept:' .. name), id .. '-0', 'h', header, field, payload)
  redis.call('RPUSH', key('order:' .. name), id .. ' ' .. size .. ' ' .. origin)
  if origin ~= '' then
    redis.call('HSET', key('refs:' .. name), origin, id)
  end
  room.count, room.bytes, room.last = room.count + 1, room.bytes + size, id
  room.first = room.first or id
  for _ = 1, 64 do
    if room.count <= 1 or (room.count <= max_messages and room.bytes <= max_bytes) then
      break
    end
    drop_oldest(name, room)
  end
end

local function message()
  local own, deadline, name, member = next_argument(), next_argument(), next_argument(), next_argument()
  local size, origin, as_guest = next_argument(), next_argument(), next_argument()
  local header, field, payload = next_argument(), next_argument(), next_argument()
  if now > tonumber(deadline) then
    return '-'
  end
  local before = max_messages > 0 and (find(name, origin) or find(name, as_guest))
  if before then
    return '=' .. before
  end
  local id = next_id()
  tell(id, #header + #payload, 'message', 'n', node, 'o', own, 'r', name, 'm', member, 'h', header, field, payload)
  if max_messages > 0 then
    keep(name, whole(id), size, origin, header, field, payload)
  end
  return '+' .. whole(id)
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
    said[#said + 1] = message()
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
