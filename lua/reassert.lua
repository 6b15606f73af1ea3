#!lua
-- reassert: sessions whose players' records are missing, held or older than what their clients were told put them
-- back: Redis lost its data or rolled it back, or the node was thought dead. The newer state wins.
--
-- KEYS    clock
-- ARGV    per player: player_id connection node operation resume_token game_mode enqueued_at claimed_seq seq state
--         loading_session_id epoch
-- WHERE   seq, state (queued or loading) and loading_session_id: as last told to the client; epoch: as it was then;
--         claimed_seq: of the first frame of this journey on this connection
-- RETURN  per player: code epoch frame...
--         the frames are for this connection: what the client has to be told
-- CODES   ok, put_back (what was told of the lost state and is yet on its way is void: the frames are newer),
--         taken_over (another connection owns the player), gone (the player left, and Redis has lost nothing)
-- TOUCHES clock player:* left:* queue:* waiting:* held nodes node_players:* loading:* match:* sessions:*
-- SENDS   notifications:* node:*
-- INCLUDE pool frames players queue sessions cancel missed

local now_us, redis_us = clock()
local epoch_now = call('HGET', KEYS[1], 'epoch') or ''

local function cancelled_frame(seq, told)
  return '{"type":"match_cancelled","seq":' .. seq .. ',"loading_session_id":"' .. told.loading_session_id
    .. '","reason":"state_lost","requeued":true}'
end

-- Write the player as queued, in front, with its original time of waiting. It is told so anew: frames of the lost state
-- that are yet on their way are older, and void (docs/races.md, 24).
local function put_back(player, told)
  local frames, seq, cancelled_seq = {}, next_seq(int(told.seq), redis_us), nil
  if told.state ~= 'queued' then
    cancelled_seq = seq
    seq = int(cancelled_seq + 1)
    frames[1] = cancelled_frame(cancelled_seq, told)
  end
  frames[#frames + 1] = queued_frame(seq, told.game_mode, told.resume_token, true)
  call('DEL', POOL .. 'player:' .. player)
  call('HSET', POOL .. 'player:' .. player, 'state', 'queued', 'game_mode', told.game_mode,
    'enqueued_at', told.enqueued_at, 'connection', told.connection, 'node', told.node, 'operation', told.operation,
    'resume_token', told.resume_token, 'seq', seq, 'queued_seq', seq, 'requeued', 'true',
    'claimed_seq', int(told.claimed_seq), 'put_back', told.connection .. ' ' .. told.operation)
  if cancelled_seq then -- for the repeat, should this answer be lost
    call('HSET', POOL .. 'player:' .. player, 'cancelled', frames[1], 'cancelled_seq', cancelled_seq)
  end
  join_node(told.node, player, now_us)
  call('ZADD', POOL .. 'waiting:' .. told.game_mode, told.enqueued_at, player)
  call('ZADD', POOL .. 'queue:' .. told.game_mode .. ':front', told.enqueued_at, player)
  return { 'put_back', epoch_now, unpack(frames) }
end

-- The record is there, and nobody's or a superseded connection's: this one takes it back, as a resume would.
local function reclaim(player, record, told)
  call('HSET', POOL .. 'player:' .. player, 'connection', told.connection, 'node', told.node,
    'operation', told.operation, 'claimed_seq', int(told.claimed_seq))
  call('HDEL', POOL .. 'player:' .. player, 'asked_us') -- the other connection's
  if record.state ~= 'matched' then
    call('SREM', POOL .. 'node_players:' .. record.node, player)
    join_node(told.node, player, now_us)
    if call('ZREM', POOL .. 'held', player) == 1 and record.state == 'queued' then
      call('ZADD', POOL .. 'queue:' .. record.game_mode .. ':front', record.enqueued_at, player)
    end
  end
end

-- The record is of another match or journey than the client's: that one ends, the client's goes on.
local function replace(player, record, told)
  call('DEL', POOL .. 'player:' .. player) -- else the end of that match would be told to this client, too
  local session = record.loading_session_id ~= '' and load_session(record.loading_session_id)
  if session then -- a match that its players were told is over, or know nothing of
    cancel(session, 'state_lost', {}, redis_us)
  end
  take_from_queue(player, record.game_mode)
  call('ZREM', POOL .. 'waiting:' .. record.game_mode, player)
  call('ZREM', POOL .. 'held', player)
  call('SREM', POOL .. 'node_players:' .. record.node, player)
  return put_back(player, told)
end

-- Rolled back: what the client was told is newer than the record.
local function catch_record_up(player, record, told)
  local same_state = record.state == told.state or (record.state == 'allocating' and told.state == 'loading')
  if same_state and record.loading_session_id == told.loading_session_id then
    call('HSET', POOL .. 'player:' .. player, 'seq', int(told.seq))
    return { 'ok', epoch_now }
  end
  return replace(player, record, told)
end

-- Told in no epoch: the pool had no sweep yet, and it may have been emptied since as well as not. Nor does an epoch
-- speak for a Redis that nobody has swept since it restarted: it is the one that older data came with
-- (tests/faults: test_redis_restarted_with_older_data).
local function lost_nothing(told)
  return told.epoch ~= '' and told.epoch == epoch_now
    and call('HGET', KEYS[1], 'run_id') == string.match(call('INFO', 'server'), 'run_id:(%x+)')
end

local function decide(player, told)
  local record = load_player(player)
  if not record then
    local tomb = call('HMGET', POOL .. 'left:' .. player, 'connection', 'frame', 'seq')
    if tomb[3] and tonumber(tomb[3]) > told.seq then
      if tomb[1] == told.connection or tomb[1] == '' then
        return { 'ok', epoch_now, tomb[2] }
      end
      return { 'taken_over', epoch_now } -- and has left by that connection's word: it must not come back by this one's
    end
    return lost_nothing(told) and { 'gone', epoch_now } or put_back(player, told)
  end
  local same_journey = record.resume_token == told.resume_token
  if record.connection ~= told.connection then
    local nobodys = record.connection == '' and same_journey
    local claim = claim_of(player)
    if told.claimed_seq < claim or told.claimed_seq == claim and not nobodys then
      return { 'taken_over', epoch_now }
    end
    if record.connection ~= '' then
      tell_taken_over(player, record)
    end
    if same_journey then
      reclaim(player, record, told)
      record = load_player(player)
    end
  end
  if not same_journey then
    return replace(player, record, told)
  end
  if tonumber(record.seq) < told.seq then
    return catch_record_up(player, record, told)
  end
  local frames = frames_since(player, record, told.seq, now_us)
  if #frames > 0 and told.state ~= 'queued' and record.loading_session_id ~= told.loading_session_id
    and not string.find(frames[1], '"match_cancelled"', 1, true) then
    table.insert(frames, 1, cancelled_frame(int(told.seq + 1), told)) -- another connection put it back without this match
  end
  local by = #frames > 0 and call('HGET', POOL .. 'player:' .. player, 'put_back')
  return { by == told.connection .. ' ' .. told.operation and 'put_back' or 'ok', epoch_now, unpack(frames) }
end

return each_item(1, 12, function(player, connection, node, operation, resume_token, game_mode, enqueued_at,
  claimed_seq, seq, state, loading_session_id, epoch)
  return decide(player, { connection = connection, node = node, operation = operation, resume_token = resume_token,
    game_mode = game_mode, enqueued_at = enqueued_at, claimed_seq = tonumber(claimed_seq), seq = tonumber(seq),
    state = state, loading_session_id = loading_session_id, epoch = epoch })
end)
