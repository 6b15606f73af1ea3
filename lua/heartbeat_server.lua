#!lua flags=allow-oom
-- heartbeat_server: a dedicated server is alive. The node has compared its list with its slots, this script decides.
-- A slot is freed when two heartbeats in a row leave it out: the first may have been written before the create.
--
-- KEYS    clock
-- ARGV    server_id lease_us state beat listed_count absent_count; per session: session_id
-- WHERE   the sessions come in three runs: slots that it still runs, slots that it left out of its list (absent),
--         and sessions on its list that have no slot (strangers)
--         state: live or draining, or empty: as before; beat names this heartbeat, so that its repeat counts no absence twice
-- RETURN  code session_id...
--         the sessions are for the server to end
-- CODES   ok, unknown (register again)
-- TOUCHES clock servers server:* reserved:* active:* ended:* loading:* servers:open session_deadlines
-- SENDS   none
-- INCLUDE pool slots servers

local server_id, lease_us, state = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local server_key, now_us = POOL .. 'server:' .. server_id, clock()
local active, reserved = POOL .. 'active:' .. server_id, POOL .. 'reserved:' .. server_id
if call('EXISTS', server_key) == 0 then
  return { 'unknown' }
end
local repeated = call('HGET', server_key, 'beat') == ARGV[4]
call('ZADD', POOL .. 'servers', int(now_us + lease_us), server_id)
call('HSET', server_key, 'beat', ARGV[4])
if state ~= '' then
  call('HSET', server_key, 'state', state)
end
call('HDEL', server_key, 'full')
local answer = { 'ok' }

-- A session of unknown fate that lives after all is ended only once its match is over or plays elsewhere: until then
-- the same key may come back to this server, and must find its session alive.
local function abandoned(id)
  return call('EXISTS', POOL .. 'loading:' .. id) == 0
end

local first_absent = 7 + ARGV[5]
local first_stranger = first_absent + ARGV[6]
for i = 7, first_absent - 1 do -- there after all, or of unknown fate and now known to live: such a one must end
  if call('HEXISTS', active, ARGV[i]) == 1 then
    call('HSET', active, ARGV[i], 0)
  elseif is_unknown(server_id, ARGV[i]) then
    call('HSET', reserved, ARGV[i], 'unknown 0')
    if abandoned(ARGV[i]) then
      answer[#answer + 1] = ARGV[i]
    end
  end
end
for i = first_absent, repeated and 0 or first_stranger - 1 do
  local missed = tonumber(call('HGET', active, ARGV[i]))
  if missed == 0 then
    call('HSET', active, ARGV[i], 1)
  elseif missed then
    free_slot(server_id, ARGV[i], now_us)
  end
  -- It may be there under an id of the server's own choice: only a list without strangers denies it before its time.
  local denied = first_stranger > #ARGV or abandoned(ARGV[i])
  local fate = denied and call('HGET', reserved, ARGV[i])
  if fate == 'unknown 0' then
    call('HSET', reserved, ARGV[i], 'unknown 1')
  elseif fate == 'unknown 1' then
    call('HDEL', reserved, ARGV[i])
  end
end
-- While a create is under way, a session unknown here may be that very one under an id of the server's own choice.
local creating = call('HLEN', reserved) > 0
for i = first_stranger, #ARGV do
  if not creating and call('HEXISTS', active, ARGV[i]) == 0 then
    answer[#answer + 1] = ARGV[i]
  end
end
refresh_server(server_id, now_us)
return answer
