#!lua flags=allow-oom
-- expire_servers: drop dedicated servers whose lease ran out (their sessions count as lost), free the slots of
-- sessions past their server's `max_session_seconds`, and let servers that failed or were full be asked again.
--
-- KEYS    clock
-- ARGV    limit
-- RETURN  lost_servers lost_sessions overdue_sessions
-- CODES   none
-- TOUCHES clock servers server:* reserved:* active:* ended:* servers:open quarantine session_deadlines
-- SENDS   none
-- INCLUDE pool slots servers

local limit = ARGV[1]
local now_us = clock()
local lost_servers, lost_sessions, overdue = 0, 0, 0
for _, server_id in ipairs(call('ZRANGEBYSCORE', POOL .. 'servers', '-inf', int(now_us), 'LIMIT', 0, limit)) do
  lost_sessions = lost_sessions + forget_server(server_id)
  lost_servers = lost_servers + 1
end
for _, member in ipairs(call('ZRANGEBYSCORE', POOL .. 'session_deadlines', '-inf', int(now_us), 'LIMIT', 0, limit)) do
  local server_id, session_id = string.match(member, '^(%S+) (%S+)$')
  call('HDEL', POOL .. 'active:' .. server_id, session_id)
  call('ZREM', POOL .. 'session_deadlines', member)
  refresh_server(server_id, now_us)
  overdue = overdue + 1
end
for _, server_id in ipairs(call('ZRANGEBYSCORE', POOL .. 'quarantine', '-inf', int(now_us), 'LIMIT', 0, limit)) do
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
  refresh_server(server_id, now_us)
end
return { lost_servers, lost_sessions, overdue }
