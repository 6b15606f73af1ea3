-- Players: the record that says which state each is in, the connection that owns it, and its node.

-- The part of a record that decisions need; nil when there is none, also for a key of another type: that must not fail a
-- call that has popped other players before.
local function load_player(player)
  local f = redis.pcall('HMGET', POOL .. 'player:' .. player, 'state', 'game_mode', 'connection', 'node', 'operation',
    'seq', 'loading_session_id', 'enqueued_at', 'resume_token', 'ticket')
  if not f[1] then
    return nil
  end
  return { state = f[1], game_mode = f[2], connection = f[3], node = f[4], operation = f[5], seq = f[6],
    loading_session_id = f[7] or '', enqueued_at = f[8], resume_token = f[9], ticket = f[10] or '' }
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

-- The older connection's node closes it with 4000: Redis alone decides which connection owns a player.
local function tell_taken_over(player, record)
  call(PUBLISH, CHANNELS .. 'node:' .. record.node, 'taken_over ' .. player .. ' ' .. record.connection)
end
