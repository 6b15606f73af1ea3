#!lua
-- enqueue: put players into the queue of one game mode that is drawn at random.
--
-- KEYS    clock
-- ARGV    game_mode node; per player: player_id connection operation resume_token asked_us
-- WHERE   asked_us: when the client's message was received, by Redis' clock
-- RETURN  per player: code resume_token seq enqueued_at epoch frame
--         all but the code only when this connection owns the player; the frame is the `queued` that was published (or
--         `party`, should the player wait in another mode), and seq its number
--         or: elsewhere state game_mode resume_token
--         for the node alone, which may pass them on to a player that has proved who it is
-- CODES   queued (also when this very operation is repeated), gathering (a repeat: see enqueue_ticket), held (a repeat
--         too, but the player is held, as its node was thought dead), already_in_queue, elsewhere (another connection has
--         the player, in the queue or a match), queue_paused, stale (since it was
--         asked the connection has left, a command overtaken by its own repeat; or another connection has had the
--         player, whose journey is found or left already)
-- TOUCHES clock player:* left:* paused queue:* waiting:* nodes node_players:* ticket:* tickets:* gathering modes:waiting
--         events
-- SENDS   notifications:* node:*
-- INCLUDE pool events states frames tickets players claims queue

local game_mode, node = ARGV[1], ARGV[2]
local now_us, redis_us = clock()
local now = int(now_us)
local paused = call('SISMEMBER', POOL .. 'paused', game_mode) == 1
local epoch = call('HGET', KEYS[1], 'epoch') or ''

local look, seen, new = any_known(3, 5), {}, {}
local event_tail = '\t' .. game_mode .. '\tfalse\t'

local function decide(player, connection, operation, resume_token, asked_us)
  local refused, seq, record
  if look or seen[player] then
    refused, seq, record = refusal(player, connection, operation, asked_us, epoch, now_us, redis_us)
  end
  seen[player] = true
  if refused then
    return refused
  end
  if paused then
    return { 'queue_paused' }
  end
  if record then
    begin_anew(player, record, connection)
  end
  seq = next_seq(seq, redis_us)
  call('HSET', POOL .. 'player:' .. player, 'state', QUEUED, 'connection', connection, 'seq', seq,
    'game_mode', game_mode, 'enqueued_at', now, 'queued_seq', seq, 'node', node,
    'operation', operation, 'resume_token', resume_token)
  new[#new + 1] = player
  local frame = queued_frame(seq, game_mode, resume_token, false, '')
  publish(player, frame)
  note_line('player.queued\t' .. player .. event_tail)
  return { 'queued', resume_token, seq, now, epoch, frame }
end

local reply = each_item(3, 5, decide)
put_in(new, node, game_mode, now_us)
write_events(redis_us)
return reply
