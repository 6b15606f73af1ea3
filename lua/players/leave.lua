#!lua flags=allow-oom
-- leave: players ask to leave (`requested`), or their clients closed cleanly (`disconnected`). Their parties leave with them.
--
-- KEYS    clock
-- ARGV    per player: player_id connection operation reason
-- RETURN  per player: code; when ok: frame loading_session_id; when too_late: state loading_session_id
--         the frame is the `dequeued` that was published, the session the match that ended with it, if there was one
-- CODES   ok (also when this operation is repeated, and when a closed client's match goes on without it),
--         not_in_queue, too_late (only when requested: the session is being placed, or found)
-- TOUCHES clock player:* left:* queue:* waiting:* held node_players:* loading:* sessions:* ticket:* tickets:* party:*
--         gathering feeds feed:* modes:waiting events
-- SENDS   notifications:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership sessions cancel

local _, redis_us = clock()

local function decide(player, connection, operation, reason)
  local record = load_player(player)
  if not record then
    local tomb = call('HMGET', POOL .. 'left:' .. player, 'connection', 'operation', 'frame', 'loading_session_id')
    if tomb[1] == connection and tonumber(tomb[2]) >= tonumber(operation) then
      return { 'ok', tomb[3], tomb[4] }
    end
    return { 'not_in_queue' }
  end
  if record.connection ~= connection then -- a repeat, where its match went on without it
    local repeated = has_left(player, record) and call('HGET', POOL .. 'player:' .. player, 'lost') == connection
    return { repeated and 'ok' or 'not_in_queue' }
  end
  if tonumber(record.operation) > tonumber(operation) then
    return { 'ok' } -- a late repeat: this connection is on its next journey by now
  end
  if record.state == GATHERING or record.state == QUEUED or record.state == LOADING then
    record.operation = operation
    if record.state == LOADING then
      call('HSET', POOL .. 'player:' .. player, 'operation', operation)
      cancel(load_session(record.loading_session_id), 'player_left', { [player] = reason }, redis_us)
    else
      drop_with_party(player, record, reason, redis_us)
    end
    return { 'ok', call('HGET', POOL .. 'left:' .. player, 'frame'), record.loading_session_id }
  end
  if reason == 'requested' then
    return { 'too_late', record.state, record.loading_session_id }
  end
  disconnect(player, record)
  return { 'ok' }
end

local reply = each_item(1, 4, decide)
write_events(redis_us)
return with_endings(reply)
