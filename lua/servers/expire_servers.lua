#!lua flags=allow-oom
-- expire_servers: drop dedicated servers whose lease ran out (their sessions count as lost), free the slots of
-- sessions past their server's `max_session_seconds`, and let servers that failed or were full be asked again.
--
-- KEYS    clock
-- ARGV    limit
-- WHERE   limit: of servers and overdue sessions together
-- RETURN  overdue_sessions more; per server that was dropped: server_id lost_sessions
--         more is 1 when the limit ended this call
-- CODES   none
-- TOUCHES clock servers server:* reserved:* active:* ended:* results:* servers:free servers:open:* quarantine
--         session_deadlines* events
-- SENDS   none
-- INCLUDE pool events slots servers

local budget = tonumber(ARGV[1])
local now_us, redis_us = clock()
local lost, overdue = {}, 0

local function each_due(key, act)
  each_listed(call('ZRANGEBYSCORE', POOL .. key, '-inf', int(now_us), 'LIMIT', 0, math.max(0, budget)), function(server_id)
    if budget > 0 then
      act(server_id)
      budget = budget - 1
    end
  end)
end

each_due('servers', function(server_id)
  local sessions = forget_server(server_id)
  note_event('server.lost', server_id, sessions)
  lost[#lost + 1] = server_id .. '\n' .. sessions
end)

each_due('session_deadlines', function(server_id)
  local deadlines = POOL .. 'session_deadlines:' .. server_id
  local due = call('ZRANGEBYSCORE', deadlines, '-inf', int(now_us), 'LIMIT', 0, budget)
  if #due > 0 then
    overdue = overdue + call('HDEL', POOL .. 'active:' .. server_id, unpack(due))
    call('ZREM', deadlines, unpack(due))
    for _, session_id in ipairs(due) do
      note_event('session.ended', session_id, server_id, 'overdue', '')
    end
    changed_servers[server_id] = true
    budget = budget - #due
  end
  local earliest = call('ZRANGE', deadlines, 0, 0, 'WITHSCORES')[2]
  if earliest then
    call('ZADD', POOL .. 'session_deadlines', earliest, server_id)
  else
    call('ZREM', POOL .. 'session_deadlines', server_id)
  end
end)

each_due('quarantine', function(server_id)
  local f = call('HMGET', POOL .. 'server:' .. server_id, 'full', 'quarantined_until')
  local until_us = math.max(tonumber(f[1]) or 0, tonumber(f[2]) or 0)
  if f[1] and tonumber(f[1]) <= now_us then
    call('HDEL', POOL .. 'server:' .. server_id, 'full')
  end
  if until_us > now_us then
    look_again(server_id, until_us)
  else
    call('ZREM', POOL .. 'quarantine', server_id)
  end
  changed_servers[server_id] = true
end)
refresh_changed_servers(now_us)
write_events(redis_us)
return { overdue, budget > 0 and 0 or 1, unpack(lost) }
