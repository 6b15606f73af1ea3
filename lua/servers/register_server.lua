#!lua flags=allow-oom
-- register_server: a dedicated server registers, for the first time or again. The same id and incarnation change no slot;
-- a new incarnation voids the slots of the old one. The sessions that it lists take slots.
--
-- KEYS    clock
-- ARGV    server_id incarnation control_url endpoint host address capacity batch max_session_seconds game_modes region
--         lease_us unlisted; per active session: session_id
-- WHERE   unlisted: how many more sessions further calls of this registration bring; until then they count as taken slots
-- RETURN  code
-- CODES   created, renewed, replaced (a new incarnation)
-- TOUCHES clock servers server:* reserved:* active:* ended:* results:* servers:free servers:open:* quarantine
--         session_deadlines* events
-- SENDS   none
-- INCLUDE pool events slots servers

local server_id, incarnation, max_session_seconds = ARGV[1], ARGV[2], ARGV[9]
local lease_us, unlisted = tonumber(ARGV[12]), tonumber(ARGV[13])
local server_key = POOL .. 'server:' .. server_id
local now_us, redis_us = clock()
local before = call('HGET', server_key, 'incarnation')
local code, lost = 'created', 0
if before and before == incarnation then
  code = 'renewed'
elseif before then
  code = 'replaced'
  lost = forget_server(server_id)
end
local drained = code == 'renewed' and call('HEXISTS', server_key, 'drained') == 1 -- by an operator
withdraw_offer(server_id) -- what it offers may be of another class from now on
call('HSET', server_key, 'incarnation', incarnation, 'control_url', ARGV[3], 'endpoint', ARGV[4], 'host', ARGV[5],
  'address', ARGV[6], 'capacity', ARGV[7], 'batch', ARGV[8], 'game_modes', ARGV[10], 'region', ARGV[11],
  'state', drained and 'draining' or 'live')
call('HDEL', server_key, 'full', 'max_session_seconds', 'unlisted', 'unreachable')
if max_session_seconds ~= '' then
  call('HSET', server_key, 'max_session_seconds', max_session_seconds)
end
if unlisted > 0 then
  call('HSET', server_key, 'unlisted', unlisted)
end
call('ZADD', POOL .. 'servers', int(now_us + lease_us), server_id)
if code ~= 'renewed' then
  note_event('server.registered', server_id, code, lost, ARGV[3], ARGV[6], ARGV[7], ARGV[10], ARGV[11])
end
local sessions = { unpack(ARGV, 14) }
if #sessions > 0 then
  local is_reserved = call('HMGET', POOL .. 'reserved:' .. server_id, unpack(sessions))
  local is_active = call('HMGET', POOL .. 'active:' .. server_id, unpack(sessions))
  local new, fields = {}, {}
  for i, session_id in ipairs(sessions) do
    if not is_reserved[i] and not is_active[i] then
      new[#new + 1] = session_id
      fields[#fields + 1] = session_id
      fields[#fields + 1] = '0'
    end
  end
  if #new > 0 then
    call('HSET', POOL .. 'active:' .. server_id, unpack(fields))
    if max_session_seconds ~= '' then
      set_deadline(server_id, new, now_us + max_session_seconds * 1000000)
    end
  end
end
changed_servers[server_id] = true
refresh_changed_servers(now_us)
write_events(redis_us)
return { code }
