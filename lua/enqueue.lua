#!lua
-- enqueue: put players into the queue of one game mode.
--
-- KEYS    clock
-- ARGV    game_mode node; per player: player_id connection operation resume_token asked_us
-- WHERE   asked_us: when the client's message was received, by Redis' clock
-- RETURN  per player: code resume_token queued_seq enqueued_at epoch frame
--         all but the code only when this connection owns the player; the frame is the `queued` that was published
-- CODES   queued (also when this very operation is repeated), already_in_queue, queue_paused,
--         stale (since it was asked the connection has left, a command overtaken by its own repeat; or another
--         connection has had the player, whose journey is found or left already)
-- TOUCHES clock player:* left:* paused queue:* waiting:* nodes node_players:*
-- SENDS   notifications:* node:*
-- INCLUDE pool frames players

local game_mode, node = ARGV[1], ARGV[2]
local now_us, redis_us = clock()
local now = int(now_us)
local paused = call('SISMEMBER', POOL .. 'paused', game_mode) == 1
local epoch = call('HGET', KEYS[1], 'epoch') or ''
local queue = gathered_for('SADD', POOL .. 'queue:' .. game_mode)
local waiting = gathered_for('ZADD', POOL .. 'waiting:' .. game_mode)
local node_players = gathered_for('SADD', POOL .. 'node_players:' .. node)

-- One look at all of them spares each its own: almost always none has a record or a tombstone.
local function any_known()
  local keys = {}
  for i = 3, #ARGV, 5 do
    keys[#keys + 1] = POOL .. 'player:' .. ARGV[i]
    keys[#keys + 1] = POOL .. 'left:' .. ARGV[i]
  end
  return #keys > 0 and call('EXISTS', unpack(keys)) > 0
end

local look, seen = any_known(), {}

local function owned(code, player, record)
  local queued_seq = call('HGET', POOL .. 'player:' .. player, 'queued_seq')
  local requeued = call('HGET', POOL .. 'player:' .. player, 'requeued') == 'true'
  local frame = queued_frame(queued_seq, record.game_mode, record.resume_token, requeued)
  return { code, record.resume_token, queued_seq, record.enqueued_at, epoch, frame }
end

local function decide(player, connection, operation, resume_token, asked_us)
  local first = not look and not seen[player]
  seen[player] = true
  local record = not first and load_player(player)
  local seq
  if record then
    -- A node that stood still past its lease has lost the player meanwhile; it puts it back once it has this answer.
    local own = record.connection == connection
      or record.connection == '' and call('HGET', POOL .. 'player:' .. player, 'lost') == connection
    if own and tonumber(record.operation) >= tonumber(operation) then
      return owned('queued', player, record)
    end
    if record.state ~= 'matched' then
      if record.connection == connection then
        return owned('already_in_queue', player, record)
      end
      return { 'already_in_queue' }
    end
    if not own and overtaken(tonumber(asked_us), claim_of(player), redis_us) then
      return { 'stale' }
    end
    seq = record.seq
  elseif not first then
    local tomb = call('HMGET', POOL .. 'left:' .. player, 'connection', 'operation', 'seq', 'claimed_seq')
    if tomb[1] == connection then
      if tonumber(tomb[2]) >= tonumber(operation) then
        return { 'stale' }
      end
    elseif overtaken(tonumber(asked_us), tonumber(tomb[4]), redis_us) then -- not the leave: who left may come at once
      return { 'stale' }
    end
    seq = tomb[3]
  end
  if paused then
    return { 'queue_paused' }
  end
  if record then -- after match_found an enqueue is a new journey, and this connection owns it
    if record.connection ~= '' and record.connection ~= connection then
      tell_taken_over(player, record)
    end
    call('DEL', POOL .. 'player:' .. player)
  end
  seq = next_seq(seq, redis_us)
  call('HSET', POOL .. 'player:' .. player, 'state', 'queued', 'connection', connection, 'seq', seq,
    'game_mode', game_mode, 'enqueued_at', now, 'queued_seq', seq, 'node', node,
    'operation', operation, 'resume_token', resume_token)
  queue[#queue + 1] = player
  waiting[#waiting + 1] = now
  waiting[#waiting + 1] = player
  node_players[#node_players + 1] = player
  local frame = queued_frame(seq, game_mode, resume_token, false)
  publish(player, frame)
  return { 'queued', resume_token, seq, now, epoch, frame }
end

local reply = each_item(3, 5, decide)
write_gathered()
if #queue > 0 then
  note_node(node, now_us)
end
return reply
