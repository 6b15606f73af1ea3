#!lua flags=allow-oom
-- fail: dedicated servers did not make the sessions. Each gets another server, waits for a slot, or is given up.
--
-- KEYS    clock
-- ARGV    node lease_us wait_us placement attempts; per session: loading_session_id attempt outcome detail
--         wait_us
-- WHERE   outcome: full (it says so), wrong (it refuses this match), error (it failed), unknown (no answer: it may have
--         made the session), unreadable (an answer that does not say), lost (its slot was voided); detail: in words;
--         wait_us: how long a match of its mode waits for a slot; empty: as all
-- RETURN  per session: code; when placed: order; when cancelled or refused: the servers of all attempts, in order
-- CODES   placed (this is the next attempt), waiting (for a slot, or to be tried again), cancelled (the attempts are
--         used up; the players go back in a second), refused (as wrong, and no other server can be asked),
--         left (its players all have, and nobody needs it any more), stale (another attempt owns the allocation, or it was given
--         up)
-- TOUCHES clock modes:pending player:* left:* queue:* waiting:* held node_players:* loading:* sessions:*
--         servers:free servers:open:* server:*
--         reserved:* active:* ended:* quarantine
--         ticket:* tickets:* party:* gathering feeds feed:* modes:waiting events
-- SENDS   notifications:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership sessions cancel slots servers placing allocations

local node, wait_us, attempts = ARGV[1], ARGV[3], tonumber(ARGV[5])
local now_us, redis_us = clock()
local terms = terms_of(node, ARGV[2], wait_us, ARGV[4], now_us)

-- These two blame the match, whichever server says so.
local BLAMES_THE_MATCH = { wrong = true, unreadable = true }
local MAY_HAVE_MADE_IT = { unknown = true, unreadable = true }

-- The servers that a match has failed on, by id.
local function failed_on(session)
  local found = {}
  for server_id in string.gmatch(call('HGET', POOL .. 'loading:' .. session.id, '#failed_on') or '', '%S+') do
    found[server_id] = true
  end
  return found
end

-- Note that it has failed on its server; and where it had before, whether another match has succeeded there since.
local function note_failed_on(session)
  local loading_key = POOL .. 'loading:' .. session.id
  if not failed_on(session)[session.server] then
    call('HSET', loading_key, '#failed_on', (call('HGET', loading_key, '#failed_on') or '') .. ' ' .. session.server)
  elseif call('HEXISTS', POOL .. 'server:' .. session.server, 'failed_by') == 0 then
    call('HSET', loading_key, '#others_succeed', 1)
  end
end

-- For whoever asks why the match was given up: the servers of all attempts.
local function note_tried(session)
  local loading_key = POOL .. 'loading:' .. session.id
  local before = call('HGET', loading_key, '#tried')
  session.tried = before and before .. ' ' .. session.server or session.server
  call('HSET', loading_key, '#tried', session.tried)
end

-- Unknown is a state: such a slot stays taken until the server's heartbeats list the session or deny it.
-- A slot that is void is settled: its server is gone, or a new incarnation, which does not answer for the old one.
-- Returns whether the server is to answer for it.
local function settle(session, outcome, detail)
  local server_key, reserved = POOL .. 'server:' .. session.server, POOL .. 'reserved:' .. session.server
  if outcome == 'lost' or call('HEXISTS', reserved, session.id) == 0 then
    return false
  end
  local ended = MAY_HAVE_MADE_IT[outcome] and call('ZSCORE', POOL .. 'ended:' .. session.server, session.id)
  if MAY_HAVE_MADE_IT[outcome] and not ended then
    call('HSET', reserved, session.id, 'unknown 0')
  else
    call('HDEL', reserved, session.id)
  end
  if outcome ~= 'full' then
    note_failed_on(session)
  end
  call('HSET', server_key, 'last_error', detail, 'last_error_at_us', int(redis_us))
  if outcome == 'full' then
    mark_full(session.server, now_us)
  elseif outcome ~= 'wrong' then
    note_failure(session.server, session, now_us)
  end
  if call('HGET', server_key, 'probe') == session.id then
    call('HDEL', server_key, 'probe') -- another match may probe it
  end
  changed_servers[session.server] = true
  return true
end

-- Asked of one more server, a match that is refused as wrong is given up: it would be refused for ever.
local function give_up_as_wrong(session)
  local at_fault = {}
  for _, player in ipairs(session.players) do
    at_fault[player] = 'refused'
  end
  cancel(session, 'allocation_failed', at_fault, redis_us)
  return 'refused'
end

-- The attempts are used up. Servers on which nothing else has succeeded are quarantined, and the players go back into the
-- queue. Where others do succeed they go back after a second (expire_sessions), not at once: such a match would form and
-- fail again as fast as its clients load.
local function give_up(session)
  local loading_key, quarantined = POOL .. 'loading:' .. session.id, false
  for server_id in pairs(call('HGET', loading_key, '#others_succeed') and {} or failed_on(session)) do
    if only_failed_by(server_id, session) then
      quarantine(server_id, now_us)
      changed_servers[server_id] = true
      quarantined = true
    end
  end
  if quarantined then
    cancel(session, 'allocation_failed', {}, redis_us)
    return 'cancelled'
  end
  local until_us = int(now_us + 1000000)
  call('HSET', loading_key, '#server', '', '#wait_until', until_us, '#not_before', FAR_US, '#given_up', 1)
  gather('ZADD', POOL .. 'sessions:unplaced:' .. session.game_mode, until_us, session.id)
  gather('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, FAR_US, session.id)
  return 'cancelled'
end

-- No other server is left: half a second before the match may go to those again that it failed on, twice as long after each
-- attempt.
local function wait_alone(session, attempt)
  call('HSET', POOL .. 'loading:' .. session.id, '#not_before', int(now_us + 500000 * 2 ^ (attempt - 1)))
end

-- To be placed once what all these servers have left is known: until then a session's id stands for its answer.
local to_place = {}

local function decide(loading_session_id, attempt_text, outcome, detail, own_wait_us)
  local attempt = tonumber(attempt_text)
  local session = load_session(loading_session_id)
  if not session or session.state ~= ALLOCATING then
    return { 'stale' }
  end
  if session.attempt == attempt + 1 and is_placed_by(session, node) then
    return { 'placed', order(session) } -- a repeat, whose first answer was lost
  end
  if session.attempt == attempt and attempt > 0 and session.server == '' then
    return { 'waiting' } -- a repeat
  end
  if session.attempt ~= attempt then
    return { 'stale' }
  end
  note_tried(session)
  local failed_there = settle(session, outcome, detail)
  local refused_before = BLAMES_THE_MATCH[outcome]
    and call('HSETNX', POOL .. 'loading:' .. session.id, '#refused_by', session.server) == 0
  if refused_before then
    return { give_up_as_wrong(session), session.tried }
  end
  if attempt >= attempts then
    return { give_up(session), session.tried }
  end
  if failed_there and outcome ~= 'full' then
    session.failed_on = failed_on(session)
  end
  to_place[loading_session_id] = { session = session, outcome = outcome, wait_us = own_wait_us }
  return { loading_session_id }
end

-- Its next attempt, on another server where this one failed.
local function place_again(session, outcome, own_wait_us)
  if not somebody_there(session) then
    cancel(session, 'player_left', {}, redis_us)
    return 'left'
  end
  if BLAMES_THE_MATCH[outcome] and not best_server(session, region_of(session), terms.placement, terms.now) then
    return give_up_as_wrong(session) .. '\n' .. session.tried
  end
  terms.wait_until = int(now_us + (own_wait_us ~= '' and own_wait_us or wait_us))
  local order_text = place(session, terms)
  if order_text then
    return 'placed\n' .. order_text
  elseif session.failed_on then
    wait_alone(session, session.attempt)
  end
  return 'waiting'
end

local reply = each_item(6, 5, decide)
refresh_changed_servers(now_us)
local placed = {}
for i, entry in ipairs(reply) do
  local failed = to_place[entry]
  if failed then
    placed[entry] = placed[entry] or place_again(failed.session, failed.outcome, failed.wait_us) -- twice in one batch takes one slot
    reply[i] = placed[entry]
  end
end
refresh_changed_servers(now_us)
write_events(redis_us)
return with_endings(reply)
