#!lua flags=allow-oom
-- remove_server: a dedicated server leaves; it takes no new sessions from now on.
--
-- KEYS    clock
-- ARGV    server_id
-- RETURN  code lost_sessions
-- CODES   removed, unknown (no such server)
-- TOUCHES clock servers server:* reserved:* active:* ended:* results:* servers:free servers:open:* quarantine session_deadlines*
--         events
-- SENDS   none
-- INCLUDE pool events slots servers

if call('EXISTS', POOL .. 'server:' .. ARGV[1]) == 0 then
  return { 'unknown', 0 }
end
local _, redis_us = clock()
local lost = forget_server(ARGV[1])
note_event('server.left', ARGV[1], lost)
write_events(redis_us)
return { 'removed', lost }
