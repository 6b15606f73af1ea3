#!lua flags=allow-oom
-- place: give slots that have become free to the ready matches of one mode that wait for one, longest wait first.
-- A match whose players have all left meanwhile needs none.
--
-- KEYS    clock
-- ARGV    game_mode node lease_us wait_us placement limit
-- WHERE   limit: of matches
-- RETURN  order...
-- CODES   none
-- TOUCHES clock modes:pending player:* left:* queue:* waiting:* held node_players:* loading:* sessions:*
--         servers:free servers:open:* server:* reserved:* active:*
--         ticket:* tickets:* party:* gathering feeds feed:* modes:waiting events
-- SENDS   notifications:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership sessions cancel slots placing allocations

local LOOK_AT = 4 -- times as many matches as it may place: those whose region is full are passed over

local game_mode, limit = ARGV[1], tonumber(ARGV[6])
local now_us, redis_us = clock()
local terms = terms_of(ARGV[2], ARGV[3], ARGV[4], ARGV[5], now_us)
local reply, budget = {}, limit
local full = {} -- by region, '' for any: no slot was free

local function decide(session)
  local region = region_of(session) or ''
  if full[region] then -- a match behind it may want another region
    return
  end
  if not somebody_there(session) then
    cancel(session, 'player_left', {}, redis_us)
    budget = budget - 1
  elseif now_us >= tonumber(call('HGET', POOL .. 'loading:' .. session.id, '#not_before') or 0) then
    reply[#reply + 1] = place(session, terms)
    full[region] = session.server == '' and not session.passed_over
    budget = budget - 1
  end
end

each_listed(call('ZRANGE', POOL .. 'sessions:unplaced:' .. game_mode, 0, LOOK_AT * limit - 1), function(loading_session_id)
  local session = budget > 0 and not full[''] and load_listed(loading_session_id, game_mode)
  if session then
    decide(session)
  end
end)
refresh_changed_servers(now_us)
write_events(redis_us)
return with_endings(reply)
