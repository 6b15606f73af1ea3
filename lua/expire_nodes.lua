#!lua flags=allow-oom
-- expire_nodes: a node's lease ran out: its players' links are broken, and their grace begins.
--
-- KEYS    clock
-- ARGV    limit grace_us
-- RETURN  held node...
--         the nodes named had no lease left; more of their players may remain for the next sweep
-- CODES   none
-- TOUCHES clock nodes node_players:* player:* queue:* held
-- SENDS   none
-- INCLUDE pool frames players queue

local limit, grace_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local now_us = clock()
local reply = { 0 }
local due = call('ZRANGEBYSCORE', POOL .. 'nodes', int(-now_us), int(now_us)) -- beyond: may still take a lease
for _, node in ipairs(due) do
  local index = POOL .. 'node_players:' .. node
  for _, player in ipairs(call('SRANDMEMBER', index, limit)) do
    local record = load_player(player)
    if record and record.node == node and record.connection ~= '' then
      hold(player, record, now_us + grace_us)
      reply[1] = reply[1] + 1
    end
    call('SREM', index, player)
  end
  if call('EXISTS', index) == 0 then
    call('ZREM', POOL .. 'nodes', node)
  else -- so that it learns of it, should it renew before the rest of its players are held
    call('ZADD', POOL .. 'nodes', 0, node)
  end
  reply[#reply + 1] = node
end
return reply
