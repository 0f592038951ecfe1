-- The id behind which are the newest messages of a room. ARGV: the room, the newest id that counts, the most
-- messages, the most bytes. The payloads stay in Redis.
local name, upto, max_messages, max_bytes = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local count, total, newest = 0, 0, upto
while true do
  local some = redis.call('XREVRANGE', key('kept:' .. name), newest, '-', 'COUNT', math.min(max_messages - count + 1, 64))
  for _, message in ipairs(some) do
    total = total + message[2][2]
    if count == max_messages or (count > 0 and total > max_bytes) then
      return string.match(message[1], '^%d+')
    end
    count = count + 1
    newest = '(' .. message[1]
  end
  if #some == 0 then
    break
  end
end
if count == 0 then
  return '0'
end
local room = redis.call('HMGET', key('room:' .. name), 'gone', 'born')
return whole(math.max(tonumber(room[1] or 0), tonumber(room[2] or 0)))
