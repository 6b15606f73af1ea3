#!lua flags=allow-oom
-- drain_server: an operator wants a dedicated server to take no new sessions, whatever its heartbeats say.
--
-- KEYS    clock
-- ARGV    server_id by
-- WHERE   by: the label of the operator's key
-- RETURN  known
-- CODES   none
-- TOUCHES clock server:* active:* reserved:* servers:free servers:open:* events
-- SENDS   none
-- INCLUDE pool events slots

local server_id = ARGV[1]
local server_key = POOL .. 'server:' .. server_id
local now_us, redis_us = clock()
local state = call('HGET', server_key, 'state')
if not state then
  return { 0 }
end
call('HSET', server_key, 'state', 'draining', 'drained', 1)
changed_servers[server_id] = true
refresh_changed_servers(now_us)
if state ~= 'draining' then
  note_event('server.draining', server_id, ARGV[2])
  write_events(redis_us)
end
return { 1 }
