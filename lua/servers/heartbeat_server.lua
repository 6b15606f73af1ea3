#!lua flags=allow-oom
-- heartbeat_server: a dedicated server is alive. The node has compared its list with its slots, this script decides.
-- A slot is freed when two heartbeats in a row leave it out: the first may have been written before the create.
--
-- KEYS    clock
-- ARGV    server_id incarnation lease_us state beat listed_count absent_count; per session: session_id
-- WHERE   incarnation: that of the process that sends it, or empty: it does not say; the sessions come in three runs: slots that it still runs, slots that it left out of its list (absent),
--         and sessions on its list that have no slot (strangers)
--         state: live or draining, or empty: as before; one that an operator drains stays so; beat names this heartbeat, so that its repeat counts no absence twice
-- RETURN  code unreachable session_id...
--         unreachable: why the registered control_url could not be reached, once, else empty; the sessions are for the
--         server to end
-- CODES   ok, unknown (register again; also while a registration has not listed all its sessions), taken (another
--         process has registered under this id)
-- TOUCHES clock servers server:* reserved:* active:* ended:* results:* loading:* servers:free servers:open:* session_deadlines*
--         events
-- SENDS   none
-- INCLUDE pool events slots servers

local server_id, incarnation, lease_us, state, beat = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local server_key = POOL .. 'server:' .. server_id
local now_us, redis_us = clock()
local active, reserved = POOL .. 'active:' .. server_id, POOL .. 'reserved:' .. server_id
local known = call('HMGET', server_key, 'capacity', 'unlisted', 'beat', 'incarnation', 'unreachable', 'drained', 'state')
if known[1] and incarnation ~= '' and incarnation ~= known[4] then
  return { 'taken' }
elseif not known[1] or known[2] then
  return { 'unknown' }
end
local first_absent = 8 + ARGV[6]
local first_stranger = first_absent + ARGV[7]
local listed = { unpack(ARGV, 8, first_absent - 1) }
local absent = known[3] ~= beat and { unpack(ARGV, first_absent, first_stranger - 1) } or {}
local strangers = { unpack(ARGV, first_stranger) }

call('ZADD', POOL .. 'servers', int(now_us + lease_us), server_id)
call('HSET', server_key, 'beat', beat)
if state ~= '' and not known[6] then
  call('HSET', server_key, 'state', state)
end
if state == 'draining' and known[7] ~= state then
  note_event('server.draining', server_id, '')
end
call('HDEL', server_key, 'full', 'unreachable')
local answer = { 'ok', known[5] or '' }

-- Slots of one kind by session; none for those that have none.
local function slots(key, session_ids)
  return #session_ids > 0 and call('HMGET', key, unpack(session_ids)) or {}
end

-- A session of unknown fate that lives after all is ended only once its match is over or plays elsewhere: until then
-- the same key may come back to this server, and must find its session alive.
local function abandoned(session_id)
  return call('EXISTS', POOL .. 'loading:' .. session_id) == 0
end

-- Listed: the last heartbeat left it out, or its create had no answer. A session of such a create has to end.
local missed, since = slots(active, listed), slots(reserved, listed)
for i, session_id in ipairs(listed) do
  if missed[i] then
    gather('HSET', active, session_id, 0)
  elseif is_unknown(since[i]) then
    gather('HSET', reserved, session_id, 'unknown 0')
    if abandoned(session_id) then
      answer[#answer + 1] = session_id
    end
  end
end

local over = {}
missed, since = slots(active, absent), slots(reserved, absent)
for i, session_id in ipairs(absent) do
  if missed[i] == '0' then
    gather('HSET', active, session_id, 1)
  elseif missed[i] then
    over[#over + 1] = session_id
  end
  -- The server may list it under an id of its own choice: only a list without strangers says that it is not there.
  if is_unknown(since[i]) and (#strangers == 0 or abandoned(session_id)) then
    if since[i] == 'unknown 0' then
      gather('HSET', reserved, session_id, 'unknown 1')
    else
      gather('HDEL', reserved, session_id)
    end
  end
end
write_gathered()
free_slots(server_id, over, now_us, 'missing', {})

-- While a create is under way, a session unknown here may be that very one under an id of the server's own choice.
if #strangers > 0 and call('EXISTS', reserved) == 0 then
  missed = slots(active, strangers)
  for i, session_id in ipairs(strangers) do
    if not missed[i] then
      answer[#answer + 1] = session_id
    end
  end
end
changed_servers[server_id] = true
refresh_changed_servers(now_us)
write_events(redis_us)
return answer
