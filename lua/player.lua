#!lua flags=no-writes
-- player: one atomic look at a player, for operators.
--
-- KEYS    clock
-- ARGV    player_id matched_seconds
-- WHERE   matched_seconds: how long the record of a found match is kept
-- RETURN  state game_mode node connected held since_us enqueued_us now_us loading_session_id match
--         nothing when there is no record; times are of Redis' own clock; match is the shared part of its `match_found`
-- CODES   none
-- TOUCHES clock player:* held loading:* match:*
-- SENDS   none
-- INCLUDE pool players

local player, matched_seconds = ARGV[1], ARGV[2]
local now_us, redis_us = clock()
local stopped_us = redis_us - now_us
local record = load_player(player)
if not record then
  return {}
end
local player_key, loading_key = POOL .. 'player:' .. player, POOL .. 'loading:' .. record.loading_session_id

-- The record need not say since when it is in its state: that is known from what else began then.
local since = {
  queued = function() -- its last cancellation put it back
    return call('HGET', player_key, 'cancelled_seq') or record.enqueued_at + stopped_us
  end,
  loading = function()
    return call('HGET', loading_key, '#created') + stopped_us
  end,
  allocating = function()
    return call('HGET', loading_key, '#ready') + stopped_us
  end,
  matched = function()
    return redis_us - matched_seconds * 1000000 + call('PTTL', player_key) * 1000
  end,
}

return {
  record.state, record.game_mode, record.node,
  record.connection == '' and 0 or 1,
  call('ZSCORE', POOL .. 'held', player) and 1 or 0,
  tonumber(since[record.state]()), record.enqueued_at + stopped_us, redis_us,
  record.loading_session_id,
  record.state == 'matched' and call('GET', POOL .. 'match:' .. record.loading_session_id) or '',
}
