-- Forgets some of the rooms whose newest message is older than an id. ARGV: the id, and the most rooms.
-- Returns how many were forgotten.
local silent = redis.call('ZRANGE', key('rooms'), '-inf', '(' .. ARGV[3], 'BYSCORE', 'LIMIT', 0, ARGV[4])
for _, name in ipairs(silent) do
  forget_room(name)
end
return #silent
