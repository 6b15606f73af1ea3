#!lua
-- enqueue: put players into the queue of one game mode.
--
-- KEYS    clock
-- ARGV    game_mode; per player: player_id connection node operation resume_token
-- RETURN  per player: code resume_token queued_seq enqueued_at epoch frame
--         all but the code only when this connection owns the player; the frame is the `queued` that was published
-- CODES   queued (also when this very operation is repeated), already_in_queue, queue_paused,
--         stale (the connection has left since it asked: a command overtaken by its own repeat)
-- TOUCHES clock player:* left:* paused queue:* waiting:* nodes node_players:*
-- SENDS   notifications:* node:*
-- INCLUDE pool players

local game_mode = ARGV[1]
local now_us, redis_us = clock()
local paused = call('SISMEMBER', POOL .. 'paused', game_mode) == 1
local epoch = call('HGET', KEYS[1], 'epoch') or ''
local joined, waiting, on_node = {}, {}, {}

local function owned(code, player, record)
  local queued_seq = call('HGET', POOL .. 'player:' .. player, 'queued_seq')
  local requeued = call('HGET', POOL .. 'player:' .. player, 'requeued') == 'true'
  local frame = queued_frame(queued_seq, record.game_mode, record.resume_token, requeued)
  return { code, record.resume_token, queued_seq, record.enqueued_at, epoch, frame }
end

local function decide(player, connection, node, operation, resume_token)
  local record = load_player(player)
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
    seq = record.seq
  else
    local tomb = call('HMGET', POOL .. 'left:' .. player, 'connection', 'operation', 'seq')
    if tomb[1] == connection and tonumber(tomb[2]) >= tonumber(operation) then
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
  call('HSET', POOL .. 'player:' .. player, 'state', 'queued', 'game_mode', game_mode, 'since', int(now_us),
    'enqueued_at', int(now_us), 'connection', connection, 'node', node, 'operation', operation,
    'resume_token', resume_token, 'seq', int(seq), 'queued_seq', int(seq), 'requeued', 'false',
    'loading_session_id', '')
  joined[#joined + 1] = player
  waiting[#waiting + 1] = int(now_us)
  waiting[#waiting + 1] = player
  on_node[node] = on_node[node] or {}
  table.insert(on_node[node], player)
  local frame = queued_frame(seq, game_mode, resume_token, false)
  publish(player, frame)
  return { 'queued', resume_token, int(seq), int(now_us), epoch, frame }
end

local reply = each_item(2, 5, decide)
if #joined > 0 then
  call('SADD', POOL .. 'queue:' .. game_mode, unpack(joined))
  call('ZADD', POOL .. 'waiting:' .. game_mode, unpack(waiting))
  for node, players in pairs(on_node) do
    join_node(node, now_us, unpack(players))
  end
end
return reply
