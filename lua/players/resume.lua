#!lua flags=allow-oom
-- resume: players come back on new connections, each proved by its token; Redis decides here who owns the player.
--
-- KEYS    clock
-- ARGV    party_timeout_us; per player: player_id connection node operation resume_token game_mode made_at_us asked_us part
-- WHERE   game_mode, made_at_us and part (lib/parties.lua) are what the token says; made_at_us is empty unless a
--         signature vouches for it;
--         asked_us: when the client's message was received, by Redis' clock
-- RETURN  per player: code game_mode enqueued_at epoch frame...
--         the frames are `resumed` and the frame of the player's state; they are for this connection alone
-- CODES   ok, invalid_resume_token, stale (since it was asked another connection has got the player)
-- TOUCHES clock player:* left:* queue:* waiting:* held nodes node_players:* loading:* match:* ticket:* tickets:* party:*
--         gathering feeds feed:* modes:waiting events
-- SENDS   notifications:* node:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership parties sessions missed

local now_us, redis_us = clock()
local epoch = call('HGET', KEYS[1], 'epoch') or ''
local party_timeout_us = ARGV[1]

-- Redis was emptied after the token was made: a player in its grace proves itself by the signature alone, and goes back
-- into the queue with the time of waiting that the token gives it.
local function restore(player, node, operation, resume_token, game_mode, made_at_us, part_text)
  local emptied_us = tonumber(call('HGET', KEYS[1], 'emptied_us'))
  if not made_at_us or emptied_us and made_at_us >= emptied_us or call('EXISTS', POOL .. 'left:' .. player) == 1 then
    return nil
  end
  local enqueued_at = int(math.min(made_at_us, now_us))
  if part_text ~= '' then
    local part = read_part(part_text)
    local ticket, mismatch = party_ticket(player, part, game_mode)
    if mismatch then
      return nil
    end
    local entered = { game_mode = game_mode, enqueued_at = enqueued_at, connection = '', node = node,
      operation = operation, resume_token = resume_token, seq = int(redis_us), requeued = true }
    enter(player, entered, part, ticket, enqueued_at, now_us + party_timeout_us, now_us, redis_us)
    call('HSET', POOL .. 'player:' .. player, 'requeued', 'true')
    begin_hold(player, now_us)
    return load_player(player)
  end
  call('HSET', POOL .. 'player:' .. player, 'state', QUEUED, 'game_mode', game_mode,
    'enqueued_at', enqueued_at, 'connection', '', 'node', node, 'operation', operation,
    'resume_token', resume_token, 'seq', int(redis_us), 'queued_seq', int(redis_us), 'requeued', 'true')
  local record = load_player(player)
  record.requeued = true
  put_in_again(player, record)
  begin_hold(player, now_us)
  return record
end

local function frame_of_state(player, record, seq)
  if record.state == QUEUED or record.state == GATHERING then
    return waiting_frame(player, record, seq, now_us)
  end
  if record.state == MATCHED then
    return late_match_found_frame(player, seq, record.loading_session_id)
  end
  return late_start_loading_frame(seq, record.loading_session_id, now_us)
end

-- What another connection's claim has to be newer than. A node knows in which order its own connections asked: of two that
-- come at once the later has the player. Between nodes only what Redis did is certain, for their stamps may be late.
local function claim_to_beat(player, record, node)
  local asked_us = record.node == node and call('HGET', POOL .. 'player:' .. player, 'asked_us')
  return tonumber(asked_us) or claim_of(player)
end

local function decide(player, connection, node, operation, resume_token, game_mode, made_at_us, asked_us,
  part)
  local found = load_player(player)
  local record = found or restore(player, node, operation, resume_token, game_mode, tonumber(made_at_us), part)
  if not record or record.resume_token ~= resume_token then
    return { 'invalid_resume_token' }
  end
  if found and record.connection ~= connection
    and overtaken(tonumber(asked_us), claim_to_beat(player, record, node), redis_us) then
    return { 'stale' }
  end
  -- A repeat takes no new numbers: it may run after its session has had the answer, and would have that session
  -- deliver the state a second time.
  local repeated = record.connection == connection and tonumber(record.operation) >= tonumber(operation)
  local seq = repeated and record.seq - 1 or next_seq(record.seq, redis_us)
  local resumed = resumed_frame(int(seq), record)
  local frame = frame_of_state(player, record, int(seq + 1))
  if repeated then
    return { 'ok', record.game_mode, record.enqueued_at, epoch, resumed, frame }
  end
  if record.connection ~= '' and record.connection ~= connection then
    tell_taken_over(player, record)
  end
  call('HSET', POOL .. 'player:' .. player, 'connection', connection, 'node', node, 'operation', operation,
    'seq', int(seq + 1), 'claimed_seq', int(seq), 'asked_us', asked_us)
  if record.state == QUEUED then
    call('HSET', POOL .. 'player:' .. player, 'queued_seq', int(seq + 1))
  end
  take_over(player, record, node, now_us)
  return { 'ok', record.game_mode, record.enqueued_at, epoch, resumed, frame }
end

local reply = each_item(2, 9, decide)
write_events(redis_us)
return reply
