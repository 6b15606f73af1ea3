#!lua flags=allow-oom
-- reassert: sessions whose players' records are missing, held or older than what their clients were told put them
-- back: Redis lost its data or rolled it back, or the node was thought dead. The newer state wins.
--
-- KEYS    clock
-- ARGV    party_timeout_us; per player: player_id connection node operation resume_token game_mode enqueued_at claimed_seq
--         seq state loading_session_id epoch part
-- WHERE   seq, state (gathering, queued or loading) and loading_session_id: as last told to the client; epoch: as it was then;
--         claimed_seq: of the first frame of this journey on this connection; part: see lib/parties.lua, empty in a mode
--         that is drawn at random
-- RETURN  per player: code epoch frame...
--         the frames are for this connection: what the client has to be told
-- CODES   ok, put_back (what was told of the lost state and is yet on its way is void: the frames are newer),
--         taken_over (another connection owns the player), gone (the player left, and Redis has lost nothing; or
--         its party does not take it any more)
-- TOUCHES clock player:* left:* queue:* waiting:* held nodes node_players:* loading:* match:* sessions:* ticket:* tickets:*
--         party:* gathering feeds feed:* modes:waiting events
-- SENDS   notifications:* node:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership parties sessions cancel missed

local now_us, redis_us = clock()
local epoch_now = call('HGET', KEYS[1], 'epoch') or ''
local party_timeout_us = ARGV[1]

-- Write the player as waiting, in front, with its original time of waiting. Its client hears that anew: frames of the lost
-- state that are still on their way are older, and void (docs/races.md, 24).
local function put_back(player, told)
  local ticket, mismatch
  if told.part then
    ticket, mismatch = party_ticket(player, told.part, told.game_mode)
  end
  if mismatch then
    return { 'gone', epoch_now }
  end
  local frames, seq, cancelled_seq = {}, next_seq(int(told.seq), redis_us), nil
  if told.state == LOADING then
    cancelled_seq = seq
    seq = int(cancelled_seq + 1)
    frames[1] = match_cancelled_frame(cancelled_seq, told.loading_session_id, 'state_lost')
  end
  local player_key = POOL .. 'player:' .. player
  local record = { state = QUEUED, game_mode = told.game_mode, enqueued_at = told.enqueued_at, connection = told.connection,
    node = told.node, operation = told.operation, resume_token = told.resume_token, seq = seq, ticket = '', requeued = true }
  call('DEL', player_key)
  attend(told.node, player, now_us)
  if told.part and told.state == GATHERING then
    enter(player, record, told.part, ticket, '', told.enqueued_at + party_timeout_us, now_us, redis_us)
  elseif told.part then
    enter(player, record, told.part, ticket, told.enqueued_at, now_us + party_timeout_us, now_us, redis_us)
  else
    call('HSET', player_key, 'state', QUEUED, 'game_mode', told.game_mode, 'enqueued_at', told.enqueued_at,
      'connection', told.connection, 'node', told.node, 'operation', told.operation,
      'resume_token', told.resume_token, 'seq', seq, 'queued_seq', seq)
    put_in_again(player, record)
  end
  call('HSET', player_key, 'requeued', 'true', 'claimed_seq', int(told.claimed_seq),
    'put_back', told.connection .. ' ' .. told.operation)
  if cancelled_seq then -- for the repeat, should this answer be lost
    call('HSET', player_key, 'cancelled', frames[1], 'cancelled_seq', cancelled_seq)
  end
  frames[#frames + 1] = waiting_frame(player, record, seq, now_us)
  return { 'put_back', epoch_now, unpack(frames) }
end

-- The record is there, and nobody's or a superseded connection's: this one takes it back, as a resume would.
local function reclaim(player, record, told)
  call('HSET', POOL .. 'player:' .. player, 'connection', told.connection, 'node', told.node,
    'operation', told.operation, 'claimed_seq', int(told.claimed_seq))
  call('HDEL', POOL .. 'player:' .. player, 'asked_us') -- the other connection's
  take_over(player, record, told.node, now_us)
end

-- Whether the client's journey is with the same party: then it gets its place there again.
local function is_part_of(told, ticket)
  local part = told.part
  return part and part.party ~= '' and part.party == ticket.party and part.size == ticket.size
    and told.game_mode == ticket.game_mode
end

-- The record is of another match or journey than the client's: that one ends, the client's goes on.
local function replace(player, record, told)
  remove(player, record) -- else this client would hear of the end of that match, too
  local ticket = record.ticket ~= '' and load_ticket(record.ticket)
  if ticket and not is_part_of(told, ticket) then
    drop_members(ticket, 'party_left', redis_us, player)
  end
  local session = record.loading_session_id ~= '' and load_session(record.loading_session_id)
  if session then -- a match that its players were told is over, or know nothing of
    cancel(session, 'state_lost', {}, redis_us)
  end
  return put_back(player, told)
end

-- Rolled back: what the client was told is newer than the record.
local function catch_record_up(player, record, told)
  local same_state = record.state == told.state or (record.state == ALLOCATING and told.state == LOADING)
  if same_state and record.loading_session_id == told.loading_session_id then
    call('HSET', POOL .. 'player:' .. player, 'seq', int(told.seq))
    return { 'ok', epoch_now }
  end
  return replace(player, record, told)
end

-- nil where this user may not read it.
local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)') or nil
end

-- Told in no epoch: the pool had no sweep yet, and it may have been emptied since as well as not. Nor does an epoch
-- speak for a Redis that nobody has swept since it restarted: it is the one that older data came with
-- (tests/faults: test_redis_restarted_with_older_data). Without a run id nobody knows that nothing is lost.
local function lost_nothing(told)
  return told.epoch ~= '' and told.epoch == epoch_now and call('HGET', KEYS[1], 'run_id') == run_id()
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
  if #frames > 0 and told.state == LOADING and record.loading_session_id ~= told.loading_session_id
    and not string.find(frames[1], '"match_cancelled"', 1, true) then
    local seq = int(told.seq + 1)
    table.insert(frames, 1, match_cancelled_frame(seq, told.loading_session_id, 'state_lost')) -- another connection put it back without this match
  end
  local by = #frames > 0 and call('HGET', POOL .. 'player:' .. player, 'put_back')
  return { by == told.connection .. ' ' .. told.operation and 'put_back' or 'ok', epoch_now, unpack(frames) }
end

local reply = each_item(2, 13, function(player, connection, node, operation, resume_token, game_mode, enqueued_at,
  claimed_seq, seq, state, loading_session_id, epoch, part)
  return decide(player, { connection = connection, node = node, operation = operation, resume_token = resume_token,
    game_mode = game_mode, enqueued_at = enqueued_at, claimed_seq = tonumber(claimed_seq), seq = tonumber(seq),
    state = state, loading_session_id = loading_session_id, epoch = epoch, part = part ~= '' and read_part(part) })
end)
write_events(redis_us)
return with_endings(reply)
