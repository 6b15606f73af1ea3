#!lua flags=allow-oom
-- end_sessions: a dedicated server reports that sessions are over.
--
-- KEYS    clock
-- ARGV    server_id; per session: session_id result
-- WHERE   result: what the server says of it, as JSON without line feeds and tabs; may be empty
-- RETURN  code session_id...
--         the sessions are those whose slot this call freed; of any other the end is noted, for its create may not be
--         confirmed yet
-- CODES   ok, unknown (no such server)
-- TOUCHES clock server:* reserved:* active:* ended:* results:* servers:free servers:open:* session_deadlines* events
-- SENDS   none
-- INCLUDE pool events slots servers

local server_id = ARGV[1]
local now_us, redis_us = clock()
local f = read_slots(server_id)
if not f[1] then
  return { 'unknown' }
end
local sessions, results = {}, {}
for i = 2, #ARGV, 2 do
  sessions[#sessions + 1] = ARGV[i]
  results[ARGV[i]] = ARGV[i + 1]
end
local freed = free_slots(server_id, sessions, now_us, 'reported', results)
if f[3] then
  call('HDEL', POOL .. 'server:' .. server_id, 'full')
  f[3] = false
end
changed_servers[server_id] = f
refresh_changed_servers(now_us)
write_events(redis_us)
return { 'ok', unpack(freed) }
