#!lua flags=allow-oom
-- fail: dedicated servers did not make the sessions. Each gets another server, waits for a slot, or is given up.
--
-- KEYS    clock
-- ARGV    node lease_us wait_us attempts; per session: loading_session_id attempt outcome
-- WHERE   outcome: full (refused, and says so), error (refused for another reason), unknown (no answer: it may have
--         made the session), lost (its slot was voided)
-- RETURN  per session: code; when placed: order
-- CODES   placed (this is the next attempt), waiting (for a slot), cancelled (the attempts are used up),
--         stale (another attempt owns the allocation, or it was given up)
-- TOUCHES clock player:* left:* queue:* waiting:* held node_players:* loading:* sessions:* servers:open server:*
--         reserved:* active:* ended:* quarantine
-- SENDS   notifications:*
-- INCLUDE pool frames players queue sessions cancel slots servers placing

local node, attempts = ARGV[1], tonumber(ARGV[4])
local now_us, redis_us = clock()
local now, lease_until, wait_until = int(now_us), int(now_us + ARGV[2]), int(now_us + ARGV[3])

-- Unknown is a state: such a slot stays taken until the server's heartbeats list the session or deny it.
-- A slot that is void is settled: its server is gone, or a new incarnation, which does not answer for the old one.
local function settle(session, outcome)
  local server_key, reserved = POOL .. 'server:' .. session.server, POOL .. 'reserved:' .. session.server
  if outcome == 'lost' or call('HEXISTS', reserved, session.id) == 0 then
    return
  end
  local ended = outcome == 'unknown' and call('ZSCORE', POOL .. 'ended:' .. session.server, session.id)
  if outcome == 'unknown' and not ended then
    call('HSET', reserved, session.id, 'unknown 0')
  else
    call('HDEL', reserved, session.id)
  end
  if outcome == 'full' then
    mark_full(session.server, now_us)
    if call('HGET', server_key, 'probe') == session.id then
      call('HDEL', server_key, 'probe') -- the quarantine's probe may be repeated once there is room
    end
  else
    quarantine(session.server, now_us)
  end
  changed_servers[session.server] = true
end

-- To be placed once what all these servers have left is known: until then a session's id stands for its answer.
local to_place = {}

local function decide(loading_session_id, attempt_text, outcome)
  local attempt = tonumber(attempt_text)
  local session = load_session(loading_session_id)
  if not session or session.state ~= 'allocating' then
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
  settle(session, outcome)
  if attempt >= attempts then
    cancel(session, 'allocation_failed', {}, redis_us)
    return { 'cancelled' }
  end
  to_place[loading_session_id] = session
  return { loading_session_id }
end

local reply = each_item(5, 3, decide)
refresh_changed_servers(now_us)
local servers, placed = open_servers(), {}
for i, entry in ipairs(reply) do
  if to_place[entry] then
    if not placed[entry] then -- the same failure twice in one batch takes one slot
      local order_text = place(to_place[entry], servers, node, now, lease_until, wait_until)
      placed[entry] = order_text and 'placed\n' .. order_text or 'waiting'
    end
    reply[i] = placed[entry]
  end
end
refresh_changed_servers(now_us)
return reply
