#!lua flags=allow-oom
-- expire_sessions: end loading sessions whose time is up, and ready matches that waited too long for a slot.
-- Whoever has not finished loading leaves with `loading_timeout`; the others go back in front.
--
-- KEYS    clock
-- ARGV    limit
-- WHERE   limit: of players, in all these sessions together
-- RETURN  loading_timeouts unplaced more; per match that found no slot in time: loading_session_id game_mode players tried
--         unplaced: ended matches that waited for a slot, those among them that fail.lua had given up a second before; tried:
--         the servers of its attempts; both lists with spaces in between
-- CODES   none
-- TOUCHES clock modes:pending player:* left:* queue:* waiting:* held node_players:* loading:* sessions:* ticket:*
--         tickets:* party:* gathering feeds feed:* modes:waiting events
-- SENDS   notifications:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership sessions cancel

local budget = tonumber(ARGV[1])
local now_us, redis_us = clock()
local timeouts = { loading = 0, unplaced = 0 }
local without_slot = {}

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

each_mode_with_sessions(function(game_mode)
  each_due('loading', game_mode, function(session)
    local at_fault = {}
    for _, player in ipairs(session.players) do
      if call('HGET', POOL .. 'loading:' .. session.id, player) == LOADING then
        at_fault[player] = 'loading_timeout'
      end
    end
    cancel(session, 'loading_timeout', at_fault, redis_us)
  end)
  each_due('unplaced', game_mode, function(session)
    local loading_key = POOL .. 'loading:' .. session.id
    if call('HEXISTS', loading_key, '#given_up') == 0 then
      local tried = call('HGET', loading_key, '#tried') or ''
      local entry = { session.id, game_mode, table.concat(session.players, ' '), tried }
      without_slot[#without_slot + 1] = table.concat(entry, '\n')
    end
    cancel(session, 'allocation_failed', {}, redis_us)
  end)
end)
write_events(redis_us)
return with_endings({ timeouts.loading, timeouts.unplaced, budget > 0 and 0 or 1, unpack(without_slot) })
