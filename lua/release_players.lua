#!lua flags=allow-oom
-- release_players: a node attends to these players no more, though its index names them. Whoever is still attributed to
-- it is held, as if the link had broken; entries of all others are dropped.
--
-- KEYS    clock
-- ARGV    node grace_us; per player: player_id
-- RETURN  per player: code
-- CODES   held, dropped
-- TOUCHES clock node_players:* player:* queue:* held
-- SENDS   none
-- INCLUDE pool frames players queue

local node, grace_us = ARGV[1], tonumber(ARGV[2])
local now_us = clock()

return each_item(3, 1, function(player)
  local record = load_player(player)
  if record and record.node == node and record.connection ~= '' and record.state ~= 'matched' then
    hold(player, record, now_us + grace_us)
    return { 'held' }
  end
  call('SREM', POOL .. 'node_players:' .. node, player)
  return { 'dropped' }
end)
