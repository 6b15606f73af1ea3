#!lua flags=allow-oom
-- end_session: a dedicated server reports that a session is over.
--
-- KEYS    clock
-- ARGV    server_id session_id
-- RETURN  code
-- CODES   ended, noted (no such slot yet: the create may not be confirmed), unknown (no such server)
-- TOUCHES clock server:* reserved:* active:* ended:* servers:open session_deadlines
-- SENDS   none
-- INCLUDE pool slots servers

local server_id, session_id = ARGV[1], ARGV[2]
local now_us = clock()
if call('EXISTS', POOL .. 'server:' .. server_id) == 0 then
  return { 'unknown' }
end
local code = free_slot(server_id, session_id, now_us) and 'ended' or 'noted'
call('HDEL', POOL .. 'server:' .. server_id, 'full')
refresh_server(server_id, now_us)
return { code }
