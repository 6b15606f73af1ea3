#!lua
-- register_server: a dedicated server joins, or says again that it is there. The same id and incarnation change no
-- slot; a new incarnation voids the old one's. Sessions that it says it runs take their slots here.
--
-- KEYS    clock
-- ARGV    server_id incarnation control_url endpoint host address capacity batch max_session_seconds game_modes region
--         lease_us; per active session: session_id
-- RETURN  code
-- CODES   created, renewed, replaced (a new incarnation)
-- TOUCHES clock servers server:* reserved:* active:* ended:* servers:open quarantine session_deadlines
-- SENDS   none
-- INCLUDE pool slots servers

local server_id, incarnation, lease_us = ARGV[1], ARGV[2], tonumber(ARGV[12])
local server_key = POOL .. 'server:' .. server_id
local now_us = clock()
local before = call('HGET', server_key, 'incarnation')
local code = 'created'
if before and before == incarnation then
  code = 'renewed'
elseif before then
  code = 'replaced'
  forget_server(server_id)
end
call('HSET', server_key, 'incarnation', incarnation, 'control_url', ARGV[3], 'endpoint', ARGV[4], 'host', ARGV[5],
  'address', ARGV[6], 'capacity', ARGV[7], 'batch', ARGV[8], 'game_modes', ARGV[10], 'region', ARGV[11],
  'state', 'live')
call('HDEL', server_key, 'full', 'max_session_seconds')
if ARGV[9] ~= '' then
  call('HSET', server_key, 'max_session_seconds', ARGV[9])
end
call('ZADD', POOL .. 'servers', int(now_us + lease_us), server_id)
for i = 13, #ARGV do
  if call('HEXISTS', POOL .. 'reserved:' .. server_id, ARGV[i]) == 0 then
    if call('HSETNX', POOL .. 'active:' .. server_id, ARGV[i], 0) == 1 and ARGV[9] ~= '' then
      call('ZADD', POOL .. 'session_deadlines', int(now_us + ARGV[9] * 1000000), server_id .. ' ' .. ARGV[i])
    end
  end
end
refresh_server(server_id, now_us)
return { code }
