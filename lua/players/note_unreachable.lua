#!lua flags=allow-oom
-- note_unreachable: nothing answered at a server's control_url. Operators see it, and its next heartbeat is told.
--
-- KEYS    clock
-- ARGV    server_id incarnation detail
-- RETURN  code
-- CODES   noted, stale (it is gone, or another incarnation)
-- TOUCHES clock server:*
-- SENDS   none
-- INCLUDE pool

local server_key = POOL .. 'server:' .. ARGV[1]
if call('HGET', server_key, 'incarnation') ~= ARGV[2] then
  return { 'stale' }
end
local _, redis_us = clock()
call('HSET', server_key, 'unreachable', ARGV[3], 'last_error', ARGV[3], 'last_error_at_us', int(redis_us))
return { 'noted' }
