#!lua flags=allow-oom
-- hold: players' links broke. Each keeps its place and its seniority, out of the matcher's reach, for the grace time.
--
-- KEYS    clock
-- ARGV    per player: player_id connection grace_us
-- RETURN  per player: code
-- CODES   held (also when repeated), not_in_queue (another connection owns the player, or nobody does, or it has been
--         matched)
-- TOUCHES clock player:* queue:* held node_players:*
-- SENDS   none
-- INCLUDE pool frames players queue

local now_us = clock()

local function held_before(player, connection)
  return call('ZSCORE', POOL .. 'held', player) and call('HGET', POOL .. 'player:' .. player, 'lost') == connection
end

return each_item(1, 3, function(player, connection, grace_us)
  local record = load_player(player)
  if record and record.connection == connection and record.state ~= 'matched' then
    hold(player, record, now_us + grace_us)
    return { 'held' }
  end
  if record and record.connection == '' and held_before(player, connection) then -- the grace is not prolonged
    return { 'held' }
  end
  return { 'not_in_queue' }
end)
