#!lua flags=allow-oom
-- retire_node: a node stops. Whoever its sessions did not hold or let go in time is held here; its lease ends at once.
--
-- KEYS    clock
-- ARGV    node grace_us limit
-- RETURN  held left
--         left counts the players that remain for another call
-- CODES   none
-- TOUCHES clock nodes node_players:* player:* queue:* held
-- SENDS   none
-- INCLUDE pool frames players queue

local node, grace_us, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local now_us = clock()
local index = POOL .. 'node_players:' .. node
local held = 0
for _, player in ipairs(call('SRANDMEMBER', index, limit)) do
  local record = load_player(player)
  if record and record.node == node and record.connection ~= '' then
    hold(player, record, now_us + grace_us)
    held = held + 1
  end
  call('SREM', index, player)
end
local left = call('SCARD', index)
if left == 0 then
  call('ZREM', POOL .. 'nodes', node)
end
return { held, left }
