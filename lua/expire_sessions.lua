#!lua flags=allow-oom
-- expire_sessions: end loading sessions whose time is up, and ready matches that waited too long for a slot.
-- Whoever has not finished loading leaves with `loading_timeout`; the others go back in front.
--
-- KEYS    clock
-- ARGV    limit
-- WHERE   limit: of players, in all these sessions together
-- RETURN  loading_timeouts allocation_timeouts more
-- CODES   none
-- TOUCHES clock modes player:* left:* queue:* waiting:* held node_players:* loading:* sessions:*
-- SENDS   notifications:*
-- INCLUDE pool frames players queue sessions cancel

local budget = tonumber(ARGV[1])
local now_us, redis_us = clock()
local timeouts = { loading = 0, unplaced = 0 }

local function each_due(stage, game_mode, finish)
  local key = POOL .. 'sessions:' .. stage .. ':' .. game_mode
  each_listed(call('ZRANGEBYSCORE', key, '-inf', int(now_us), 'LIMIT', 0, math.max(0, budget)), function(id)
    local session = budget > 0 and load_listed(id, game_mode)
    if session then
      finish(session)
      timeouts[stage] = timeouts[stage] + 1
      budget = budget - #session.players
    end
  end)
end

for _, game_mode in ipairs(call('SMEMBERS', POOL .. 'modes')) do
  each_due('loading', game_mode, function(session)
    local at_fault = {}
    for _, player in ipairs(session.players) do
      if call('HGET', POOL .. 'loading:' .. session.id, player) == 'loading' then
        at_fault[player] = 'loading_timeout'
      end
    end
    cancel(session, 'loading_timeout', at_fault, redis_us)
  end)
  each_due('unplaced', game_mode, function(session)
    cancel(session, 'allocation_failed', {}, redis_us)
  end)
end
return { timeouts.loading, timeouts.unplaced, budget > 0 and 0 or 1 }
