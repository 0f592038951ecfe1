-- The id behind which are the newest messages of a room. ARGV: the room, the newest id that counts, the most
-- messages, the most bytes. No payload is read.
local name, upto, max_messages, max_bytes = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local CHUNK = 64
local count, total, from = 0, 0, -1
repeat
  local some = redis.call('LRANGE', key('order:' .. name), from - CHUNK + 1, from)
  for place = #some, 1, -1 do
    local id, size = string.match(some[place], '^(%d+) (%d+)')
    if tonumber(id) <= upto then
      total = total + size
      if count == max_messages or (count > 0 and total > max_bytes) then
        return id
      end
      count = count + 1
    end
  end
  from = from - CHUNK
until #some < CHUNK
if count == 0 then
  return '0'
end
local room = redis.call('HMGET', key('room:' .. name), 'gone', 'born')
return whole(math.max(tonumber(room[1] or 0), tonumber(room[2] or 0)))
