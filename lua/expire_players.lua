#!lua flags=allow-oom
-- expire_players: drop players whose grace after a broken link is over, and those who waited past the queue's limit.
--
-- KEYS    clock
-- ARGV    limit queue_timeout_us
-- WHERE   limit: of players, those of cancelled sessions included; queue_timeout_us: 0 for no limit
-- RETURN  grace_ended cancelled queue_timeouts more
--         cancelled counts the loading sessions that the dropped players were in
-- CODES   none
-- TOUCHES clock modes player:* left:* queue:* waiting:* held node_players:* loading:* sessions:*
-- SENDS   notifications:*
-- INCLUDE pool frames players queue sessions cancel

local budget, queue_timeout_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local now_us, redis_us = clock()
local grace_ended, cancelled, queue_timeouts = 0, 0, 0

local function due(key, until_us)
  return call('ZRANGEBYSCORE', key, '-inf', int(until_us), 'LIMIT', 0, math.max(0, budget))
end

local function end_grace(player)
  local record = load_player(player)
  if record and record.state == 'queued' then
    drop_queued(player, record, 'disconnected', redis_us)
  elseif record and record.state == 'loading' then
    local session = load_session(record.loading_session_id)
    cancel(session, 'player_left', { [player] = 'disconnected' }, redis_us)
    cancelled = cancelled + 1
    budget = budget - #session.players
  end -- while allocating the match goes on; nobody waits for this player any more
  call('ZREM', POOL .. 'held', player)
end

each_listed(due(POOL .. 'held', now_us), function(player)
  if budget > 0 then
    end_grace(player)
    grace_ended = grace_ended + 1
    budget = budget - 1
  end
end)
if queue_timeout_us > 0 then
  for _, game_mode in ipairs(call('SMEMBERS', POOL .. 'modes')) do
    for _, player in ipairs(due(POOL .. 'waiting:' .. game_mode, now_us - queue_timeout_us)) do
      local record = load_player(player)
      if record then
        drop_queued(player, record, 'queue_timeout', redis_us)
      else -- an entry that nobody owns must not stop every sweep from here on
        take_from_queue(player, game_mode)
        call('ZREM', POOL .. 'waiting:' .. game_mode, player)
      end
      queue_timeouts = queue_timeouts + 1
      budget = budget - 1
    end
  end
end
return { grace_ended, cancelled, queue_timeouts, budget > 0 and 0 or 1 }
