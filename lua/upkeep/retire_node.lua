#!lua flags=allow-oom
-- retire_node: a node stops. It holds the players that its sessions did not hold or release in time; its lease ends at once.
--
-- KEYS    clock
-- ARGV    node grace_us limit
-- RETURN  held left
--         left counts the players that remain for another call
-- CODES   none
-- TOUCHES clock nodes nodes:info node_players:* player:* queue:* held tickets:* feeds feed:* events
-- SENDS   none
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership

local node, grace_us, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local now_us, redis_us = clock()
local index = POOL .. 'node_players:' .. node
local held = 0
for _, player in ipairs(call('SRANDMEMBER', index, limit)) do
  if hold_if_on(node, player, now_us + grace_us) then
    held = held + 1
  end
end
local left = call('SCARD', index)
if left == 0 then
  call('ZREM', POOL .. 'nodes', node)
  call('HDEL', POOL .. 'nodes:info', node)
end
write_events(redis_us)
return { held, left }
