-- The queue: out of it for good or for a while, and back into it. Needs frames.lua and players.lua.

-- Out of the matcher's reach; `waiting` still counts the player until it is out of the queue for good.
local function take_from_queue(player, game_mode)
  call('SREM', POOL .. 'queue:' .. game_mode, player)
  call('ZREM', POOL .. 'queue:' .. game_mode .. ':front', player)
end

-- Give up a player for good. What is left for a minute is a tombstone: it answers a repeated request, refuses one
-- that was overtaken on its way, and repeats the last frame to a session that missed it.
local function bury(player, record, reason, redis_us)
  local seq = next_seq(record.seq, redis_us)
  local frame = '{"type":"dequeued","seq":' .. seq .. ',"reason":"' .. reason .. '"}'
  local tomb = POOL .. 'left:' .. player
  local claimed_seq = claim_of(player) or 0
  call('DEL', POOL .. 'player:' .. player)
  call('HSET', tomb, 'connection', record.connection, 'operation', record.operation, 'seq', seq, 'frame', frame,
    'loading_session_id', record.loading_session_id, 'claimed_seq', int(claimed_seq))
  call('EXPIRE', tomb, 60)
  publish(player, frame)
end

-- A queued player leaves for good: by its own wish, its grace's end or the queue's time limit.
local function drop_queued(player, record, reason, redis_us)
  take_from_queue(player, record.game_mode)
  call('ZREM', POOL .. 'waiting:' .. record.game_mode, player)
  call('ZREM', POOL .. 'held', player)
  call('SREM', POOL .. 'node_players:' .. record.node, player)
  bury(player, record, reason, redis_us)
end

-- Keep a player whose link broke: unreachable for the matcher, until it resumes or its grace ends.
local function hold(player, record, until_us)
  if record.state == 'queued' then
    take_from_queue(player, record.game_mode)
  end
  call('HSET', POOL .. 'player:' .. player, 'connection', '', 'lost', record.connection)
  call('SREM', POOL .. 'node_players:' .. record.node, player)
  call('ZADD', POOL .. 'held', int(until_us), player)
end

-- Back into the queue in front, with the original time of waiting. A held player stays out of reach.
local function requeue(player, record, cancelled, cancelled_seq)
  local seq = int(cancelled_seq + 1)
  local player_key = POOL .. 'player:' .. player
  call('HSETNX', player_key, 'claimed_seq', call('HGET', player_key, 'queued_seq')) -- which claim_of goes by
  call('HSET', player_key, 'state', 'queued', 'seq', seq, 'queued_seq', seq,
    'requeued', 'true', 'cancelled', cancelled, 'cancelled_seq', cancelled_seq, 'loading_session_id', '')
  call('ZADD', POOL .. 'waiting:' .. record.game_mode, record.enqueued_at, player)
  if record.connection ~= '' then
    call('ZADD', POOL .. 'queue:' .. record.game_mode .. ':front', record.enqueued_at, player)
  end
  publish(player, cancelled)
  publish(player, queued_frame(seq, record.game_mode, record.resume_token, true))
end
