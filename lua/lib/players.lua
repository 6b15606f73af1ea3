-- Players: the record that says which state each is in, the queue, and the frames that tell them.

local function publish(player, frame)
  call('PUBLISH', POOL .. 'notifications:' .. player, frame)
end

local function queued_frame(seq, game_mode, resume_token, requeued)
  return '{"type":"queued","seq":' .. seq .. ',"game_mode":"' .. game_mode
    .. '","resume_token":"' .. resume_token .. '","requeued":' .. tostring(requeued) .. '}'
end

-- The `seq` at which the record's connection got its player: by a resume, which notes it, or else by its enqueue, which
-- is noted once `queued_seq` moves on. Every later claim has a higher one, unless Redis moved to a host whose clock is
-- behind. A connection whose own is higher than the record's is therefore the rightful owner: the
-- record has come back from before its claim (docs/races.md, 2).
local function claim_of(player)
  local f = call('HMGET', POOL .. 'player:' .. player, 'claimed_seq', 'queued_seq')
  return tonumber(f[1] or f[2])
end

-- Whether another connection got the player after this claim to it was received, at `asked_us` of Redis' clock: whoever
-- asked may be gone by now, and a client that is not asks again (docs/races.md, 23). What claim_of says is about the time
-- of that other claim. If it lies ahead, by more than numbers do (next_seq), Redis moved to a host whose clock is behind,
-- and the two do not compare.
local AHEAD_US = 1000

local function overtaken(asked_us, claimed_seq, redis_us)
  return claimed_seq and asked_us < claimed_seq and claimed_seq < redis_us + AHEAD_US
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

-- Out of the matcher's reach; `waiting` still counts the player until it is out of the queue for good.
local function take_from_queue(player, game_mode)
  call('SREM', POOL .. 'queue:' .. game_mode, player)
  call('ZREM', POOL .. 'queue:' .. game_mode .. ':front', player)
end

-- Players are on this node from now on. A node without a lease (Redis lost it) is noted by the negative of the time until
-- which it may take one: should it die before it does, its players would be nobody's.
local UNLEASED_US = 10000000

local function note_node(node, now_us)
  call('ZADD', POOL .. 'nodes', 'NX', int(-(now_us + UNLEASED_US)), node)
end

local function join_node(node, player, now_us)
  call('SADD', POOL .. 'node_players:' .. node, player)
  note_node(node, now_us)
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
local function requeue(player, record, cancelled, cancelled_seq, now_us)
  local seq = int(cancelled_seq + 1)
  local player_key = POOL .. 'player:' .. player
  call('HSETNX', player_key, 'claimed_seq', call('HGET', player_key, 'queued_seq')) -- which claim_of goes by
  call('HSET', player_key, 'state', 'queued', 'since', int(now_us), 'seq', seq, 'queued_seq', seq,
    'requeued', 'true', 'cancelled', cancelled, 'cancelled_seq', cancelled_seq, 'loading_session_id', '')
  call('ZADD', POOL .. 'waiting:' .. record.game_mode, record.enqueued_at, player)
  if record.connection ~= '' then
    call('ZADD', POOL .. 'queue:' .. record.game_mode .. ':front', record.enqueued_at, player)
  end
  publish(player, cancelled)
  publish(player, queued_frame(seq, record.game_mode, record.resume_token, true))
end

-- The part of a record that deciding takes; nil when there is none. A key of another type is none, too: it must not
-- fail a call that has popped other players before it comes to this one.
local function load_player(player)
  local f = redis.pcall('HMGET', POOL .. 'player:' .. player, 'state', 'game_mode', 'connection', 'node', 'operation',
    'seq', 'loading_session_id', 'enqueued_at', 'resume_token')
  if not f[1] then
    return nil
  end
  return { state = f[1], game_mode = f[2], connection = f[3], node = f[4], operation = f[5], seq = f[6],
    loading_session_id = f[7] or '', enqueued_at = f[8], resume_token = f[9] }
end

-- The older connection's node closes it with 4000: Redis alone decides which connection owns a player.
local function tell_taken_over(player, record)
  call('PUBLISH', POOL .. 'node:' .. record.node, 'taken_over ' .. player .. ' ' .. record.connection)
end
