#!lua flags=no-writes
-- player: one atomic look at a player, for operators.
--
-- KEYS    clock
-- ARGV    player_id matched_seconds
-- WHERE   matched_seconds: how long the record of a found match is kept
-- RETURN  state game_mode node connected held since_us enqueued_us now_us loading_session_id match within_reach
--         nothing when there is no record; within_reach is 0 while a member of its party keeps its ticket from being matched; match is the shared part of its `match_found`. Times are of Redis' own clock,
--         but enqueued_us is later by the time in which nobody swept, which is no time of waiting
-- CODES   none
-- TOUCHES clock player:* held loading:* match:* tickets:*
-- SENDS   none
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership

local player, matched_seconds = ARGV[1], ARGV[2]
local now_us, redis_us = clock()
local stopped_us = redis_us - now_us
local record = load_player(player)
if not record then
  return {}
end
local player_key, loading_key = POOL .. 'player:' .. player, POOL .. 'loading:' .. record.loading_session_id

local enqueued_us = record.enqueued_at + stopped_us

-- The record need not say since when it is in its state: that is known from what else began then. Who was put back after a
-- loss of data has waited since its enqueue, as far as the pool knows.
local function state_began()
  if record.state == MATCHED then
    return redis_us - matched_seconds * 1000000 + call('PTTL', player_key) * 1000
  elseif record.state == QUEUED or record.state == GATHERING then -- its last cancellation put it back
    return tonumber(call('HGET', player_key, 'cancelled_seq') or enqueued_us)
  end
  local began = call('HGET', loading_key, record.state == LOADING and '#created' or '#ready')
  return began and began + stopped_us or enqueued_us
end

return {
  record.state, record.game_mode, record.node,
  record.connection == '' and 0 or 1,
  is_held(player) and 1 or 0,
  math.max(state_began(), enqueued_us), enqueued_us, redis_us,
  record.loading_session_id,
  record.state == MATCHED and call('HGET', POOL .. 'match:' .. record.loading_session_id, '#tail') or '',
  (record.ticket == '' or call('ZSCORE', POOL .. 'tickets:' .. record.game_mode, record.ticket)) and 1 or 0,
}
