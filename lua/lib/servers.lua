-- Dedicated servers that fail, fill up, go, or end a session. Needs events and slots.

-- expire_servers looks at the server again at this time, and later again if something still keeps it from being asked.
local function look_again(server_id, at_us)
  call('ZADD', POOL .. 'quarantine', int(at_us), server_id)
end

-- Half a second after the first failure in a row, twice as long after each further one, half a minute at most.
local function quarantine(server_id, now_us)
  local failures = call('HINCRBY', POOL .. 'server:' .. server_id, 'failures', 1)
  local until_us = now_us + math.min(30000000, 500000 * 2 ^ math.min(failures - 1, 10))
  call('HSET', POOL .. 'server:' .. server_id, 'quarantined_until', int(until_us))
  call('HDEL', POOL .. 'server:' .. server_id, 'probe')
  look_again(server_id, until_us)
end

-- Whether this match was the last to fail on a server, and none has succeeded there since.
local function only_failed_by(server_id, match)
  return call('HGET', POOL .. 'server:' .. server_id, 'failed_by') == players_digest(match)
end

-- A match failed on a server. Only when different matches fail, with none that succeeds between, is it quarantined: one
-- match that no server can make must not take servers from the others.
local function note_failure(server_id, match, now_us)
  local server_key, by = POOL .. 'server:' .. server_id, players_digest(match)
  local f = call('HMGET', server_key, 'failed_by', 'probe')
  call('HSET', server_key, 'failed_by', by)
  call('HSETNX', server_key, 'failures', 0) -- a success forgets all of it (confirm)
  if f[1] and f[1] ~= by then
    quarantine(server_id, now_us)
  elseif f[2] == match.id then
    call('HDEL', server_key, 'probe')
  end
end

-- It refused for want of room: no slots until it is heard again, or for five seconds if it says nothing.
local function mark_full(server_id, now_us)
  local until_us = now_us + 5000000
  call('HSET', POOL .. 'server:' .. server_id, 'full', int(until_us))
  look_again(server_id, until_us)
end

-- Whether nobody knows if a create made its session: it had no answer, and was given up. `since` is the reserved slot.
local function is_unknown(since)
  return since and string.sub(since, 1, 7) == 'unknown'
end

-- What was said of sessions whose creates may yet be confirmed, for the events of their ends (confirm). `ended` is a list of
-- times and sessions.
local function keep_results(server_id, ended, results)
  local fields = {}
  for i = 2, #ended, 2 do
    if (results[ended[i]] or '') ~= '' then
      fields[#fields + 1] = ended[i]
      fields[#fields + 1] = results[ended[i]]
    end
  end
  if #fields > 0 and call('EXISTS', POOL .. 'reserved:' .. server_id) == 1 then
    call('HSET', POOL .. 'results:' .. server_id, unpack(fields))
    call('EXPIRE', POOL .. 'results:' .. server_id, 120)
  end
end

-- Sessions are over: free their slots, also where nobody knew that they had begun. Returns those that had a slot.
-- Tombstones meet confirmations that may still be on their way, or that of the same session, should its match come back
-- to this server. `reason` says how the end is known, and `results` has what the server said of it, by session, as JSON.
local function free_slots(server_id, session_ids, now_us, reason, results)
  if #session_ids == 0 then
    return {}
  end
  local active, reserved = POOL .. 'active:' .. server_id, POOL .. 'reserved:' .. server_id
  local missed = call('HMGET', active, unpack(session_ids))
  local since -- read where one of them is not live
  local freed, live, unknown, ended = {}, {}, {}, {}
  for i, session_id in ipairs(session_ids) do
    since = since or not missed[i] and call('HMGET', reserved, unpack(session_ids))
    if missed[i] then
      live[#live + 1] = session_id
      local how = server_id .. '\t' .. reason
      note_line('session.ended\t' .. session_id .. '\t' .. how .. '\t' .. (results[session_id] or ''))
    else
      ended[#ended + 1] = int(now_us)
      ended[#ended + 1] = session_id
      if is_unknown(since[i]) then
        unknown[#unknown + 1] = session_id
      end
    end
    if missed[i] or is_unknown(since[i]) then
      freed[#freed + 1] = session_id
    end
  end
  if #live > 0 then
    call('HDEL', active, unpack(live))
    call('ZREM', POOL .. 'session_deadlines:' .. server_id, unpack(live))
  end
  if #unknown > 0 then
    call('HDEL', reserved, unpack(unknown))
  end
  if #ended > 0 then
    local key = POOL .. 'ended:' .. server_id
    call('ZADD', key, unpack(ended))
    trim(key, now_us - 60000000)
    call('EXPIRE', key, 120)
    keep_results(server_id, ended, results)
  end
  return freed
end

-- Forget a server and void its slots: its lease ran out, it left, or a new incarnation took its place. However many
-- sessions it had: Redis frees their keys in the background.
local function forget_server(server_id)
  withdraw_offer(server_id)
  local active = call('HLEN', POOL .. 'active:' .. server_id)
  call('UNLINK', POOL .. 'server:' .. server_id, POOL .. 'reserved:' .. server_id, POOL .. 'active:' .. server_id,
    POOL .. 'ended:' .. server_id, POOL .. 'results:' .. server_id, POOL .. 'session_deadlines:' .. server_id)
  call('ZREM', POOL .. 'servers', server_id)
  call('ZREM', POOL .. 'quarantine', server_id)
  call('ZREM', POOL .. 'session_deadlines', server_id)
  return active
end
