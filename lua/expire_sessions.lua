#!lua flags=allow-oom
-- expire_sessions: end loading sessions whose time is up, and ready matches that waited too long for a slot.
-- Whoever has not finished loading leaves with `loading_timeout`; the others go back in front.
--
-- KEYS    clock
-- ARGV    limit
-- RETURN  loading_timeouts allocation_timeouts
-- CODES   none
-- TOUCHES clock modes player:* left:* queue:* waiting:* held node_players:* loading:* sessions:*
-- SENDS   notifications:*
-- INCLUDE pool players servers sessions

local limit = ARGV[1]
local now_us, redis_us = clock()
local timeouts = { loading = 0, unplaced = 0 }

local function due(stage, game_mode)
  return call('ZRANGEBYSCORE', POOL .. 'sessions:' .. stage .. ':' .. game_mode, '-inf', int(now_us), 'LIMIT', 0, limit)
end

for _, game_mode in ipairs(call('SMEMBERS', POOL .. 'modes')) do
  for _, id in ipairs(due('loading', game_mode)) do
    local session, at_fault = load_listed(id, game_mode), {}
    if session then
      for _, player in ipairs(session.players) do
        if call('HGET', POOL .. 'loading:' .. id, player) == 'loading' then
          at_fault[player] = 'loading_timeout'
        end
      end
      cancel(session, 'loading_timeout', at_fault, now_us, redis_us)
      timeouts.loading = timeouts.loading + 1
    end
  end
  for _, id in ipairs(due('unplaced', game_mode)) do
    local session = load_listed(id, game_mode)
    if session then
      cancel(session, 'allocation_failed', {}, now_us, redis_us)
      timeouts.unplaced = timeouts.unplaced + 1
    end
  end
end
return { timeouts.loading, timeouts.unplaced }
