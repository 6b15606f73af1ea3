#!lua flags=no-writes
-- meetings: whom these players have had in their last matches, in modes with the rule `rematch`.
--
-- KEYS    clock
-- ARGV    per player: player_id
-- RETURN  per player: `player_id at_us` of each whom it met, separated by spaces
-- CODES   none
-- TOUCHES met:*
-- SENDS   none
-- INCLUDE pool

return each_item(1, 1, function(player)
  return { table.concat(call('ZRANGE', POOL .. 'met:' .. player, 0, -1, 'WITHSCORES'), ' ') }
end)
