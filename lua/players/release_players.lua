#!lua flags=allow-oom
-- release_players: a node attends to these players no more, though its index names them. Whoever is still attributed to
-- it is held, as if the link had broken; entries of all others are dropped.
--
-- KEYS    clock
-- ARGV    node grace_us; per player: player_id
-- RETURN  per player: code
-- CODES   held, dropped
-- TOUCHES clock node_players:* player:* queue:* held tickets:* feeds feed:* events
-- SENDS   none
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership

local node, grace_us = ARGV[1], tonumber(ARGV[2])
local now_us, redis_us = clock()

local reply = each_item(3, 1, function(player)
  return { hold_if_on(node, player, now_us + grace_us) and 'held' or 'dropped' }
end)
write_events(redis_us)
return reply
