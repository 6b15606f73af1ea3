#!lua flags=allow-oom
-- hold: players' links broke. Each keeps its place and its seniority, out of the matcher's reach, for the grace time.
--
-- KEYS    clock
-- ARGV    per player: player_id connection grace_us
-- RETURN  per player: code
-- CODES   held (also when repeated), not_in_queue (another connection owns the player, or nobody does, or it has been
--         matched)
-- TOUCHES clock player:* queue:* held node_players:* tickets:* feeds feed:* events
-- SENDS   none
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership

local now_us, redis_us = clock()

local function held_before(player, connection)
  return is_held(player) and call('HGET', POOL .. 'player:' .. player, 'lost') == connection
end

local reply = each_item(1, 3, function(player, connection, grace_us)
  local record = load_player(player)
  if record and record.connection == connection and record.state ~= MATCHED then
    hold(player, record, now_us + grace_us)
    return { 'held' }
  end
  if record and record.connection == '' and held_before(player, connection) then -- the grace is not prolonged
    return { 'held' }
  end
  return { 'not_in_queue' }
end)
write_events(redis_us)
return reply
