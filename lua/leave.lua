#!lua flags=allow-oom
-- leave: players ask to leave (`requested`), or their clients closed cleanly (`disconnected`).
--
-- KEYS    clock
-- ARGV    per player: player_id connection operation reason
-- RETURN  per player: code; when ok: frame loading_session_id; when too_late: state loading_session_id
--         the frame is the `dequeued` that was published, the session the match that ended with it, if there was one
-- CODES   ok (also when this operation is repeated, and when a closed client's match goes on without it),
--         not_in_queue, too_late (only when requested: the session is being placed, or found)
-- TOUCHES clock player:* left:* queue:* waiting:* held node_players:* loading:* sessions:*
-- SENDS   notifications:*
-- INCLUDE pool frames players queue sessions cancel

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
    local gone = record.connection == '' and not call('ZSCORE', POOL .. 'held', player)
    local repeated = gone and call('HGET', POOL .. 'player:' .. player, 'lost') == connection
    return { repeated and 'ok' or 'not_in_queue' }
  end
  if tonumber(record.operation) > tonumber(operation) then
    return { 'ok' } -- a late repeat: this connection is on its next journey by now
  end
  if record.state == 'queued' or record.state == 'loading' then
    record.operation = operation
    if record.state == 'queued' then
      drop_queued(player, record, reason, redis_us)
    else
      call('HSET', POOL .. 'player:' .. player, 'operation', operation)
      cancel(load_session(record.loading_session_id), 'player_left', { [player] = reason }, redis_us)
    end
    return { 'ok', call('HGET', POOL .. 'left:' .. player, 'frame'), record.loading_session_id }
  end
  if reason == 'requested' then
    return { 'too_late', record.state, record.loading_session_id }
  end
  call('HSET', POOL .. 'player:' .. player, 'connection', '', 'lost', connection)
  call('SREM', POOL .. 'node_players:' .. record.node, player)
  return { 'ok' }
end

return each_item(1, 4, decide)
