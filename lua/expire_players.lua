#!lua flags=allow-oom
-- expire_players: drop players whose grace after a broken link is over, and those who waited past the queue's limit.
--
-- KEYS    clock
-- ARGV    limit queue_timeout_us
-- WHERE   queue_timeout_us: 0 for no limit
-- RETURN  grace_ended cancelled queue_timeouts
--         cancelled counts the loading sessions that the dropped players were in
-- CODES   none
-- TOUCHES clock modes player:* left:* queue:* waiting:* held node_players:* loading:* sessions:*
-- SENDS   notifications:*
-- INCLUDE pool players servers sessions

local limit, queue_timeout_us = ARGV[1], tonumber(ARGV[2])
local now_us, redis_us = clock()
local grace_ended, cancelled, queue_timeouts = 0, 0, 0

for _, player in ipairs(call('ZRANGEBYSCORE', POOL .. 'held', '-inf', int(now_us), 'LIMIT', 0, limit)) do
  local record = load_player(player)
  if record and record.state == 'queued' then
    drop_queued(player, record, 'disconnected', redis_us)
  elseif record and record.state == 'loading' then
    cancel(load_session(record.loading_session_id), 'player_left', { [player] = 'disconnected' }, now_us, redis_us)
    cancelled = cancelled + 1
  end -- while allocating the match goes on; nobody waits for this player any more
  call('ZREM', POOL .. 'held', player)
  grace_ended = grace_ended + 1
end
if queue_timeout_us > 0 then
  for _, game_mode in ipairs(call('SMEMBERS', POOL .. 'modes')) do
    local since = int(now_us - queue_timeout_us)
    for _, player in ipairs(call('ZRANGEBYSCORE', POOL .. 'waiting:' .. game_mode, '-inf', since, 'LIMIT', 0, limit)) do
      local record = load_player(player)
      if record then
        drop_queued(player, record, 'queue_timeout', redis_us)
      else -- an entry that nobody owns must not stop every sweep from here on
        take_from_queue(player, game_mode)
        call('ZREM', POOL .. 'waiting:' .. game_mode, player)
      end
      queue_timeouts = queue_timeouts + 1
    end
  end
end
return { grace_ended, cancelled, queue_timeouts }
