#!lua flags=allow-oom
-- adopt: take over allocations whose lease ran out because their node died or forgot them. The attempt goes on with the
-- same server and idempotency key, so a session that was made and never confirmed is found, not made twice.
--
-- KEYS    clock
-- ARGV    node lease_us wait_us placement attempts limit
-- WHERE   limit: of players, in all these matches together
-- RETURN  more order...
--         more is 1 when the limit ended this call
-- CODES   none
-- TOUCHES clock modes:pending player:* left:* queue:* waiting:* held node_players:* loading:* sessions:*
--         servers:free servers:open:* server:* reserved:* active:*
--         ticket:* tickets:* party:* gathering feeds feed:* modes:waiting events
-- SENDS   notifications:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership sessions cancel slots placing allocations

local attempts, budget = tonumber(ARGV[5]), tonumber(ARGV[6])
local now_us, redis_us = clock()
local terms = terms_of(ARGV[1], ARGV[2], ARGV[3], ARGV[4], now_us)
local reply = { 0 }

local function adopt(session)
  if call('HEXISTS', POOL .. 'reserved:' .. session.server, session.id) == 1 then
    call('HSET', POOL .. 'loading:' .. session.id, '#node', terms.node)
    call('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, terms.lease_until, session.id)
    return order(session)
  end
  if session.attempt >= attempts then -- its server is gone too, and it was the last one to try
    cancel(session, 'allocation_failed', {}, redis_us)
    return nil
  end
  if not somebody_there(session) then
    cancel(session, 'player_left', {}, redis_us)
    return nil
  end
  return place(session, terms)
end

each_mode_with_sessions(function(game_mode)
  local key = POOL .. 'sessions:allocating:' .. game_mode
  each_listed(call('ZRANGEBYSCORE', key, '-inf', terms.now, 'LIMIT', 0, math.max(0, budget)), function(loading_session_id)
    local session = budget > 0 and load_listed(loading_session_id, game_mode)
    if session then
      budget = budget - #session.players
      reply[#reply + 1] = adopt(session)
    end
  end)
end)
refresh_changed_servers(now_us)
reply[1] = budget > 0 and 0 or 1
write_events(redis_us)
return with_endings(reply)
