-- Dedicated servers that fail, fill up, go, or end a session.

-- Look at a server again then, and at the latest of what keeps it from being asked (expire_servers).
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

-- It refused for want of room: no slots until it is heard again, or for five seconds if it says nothing.
local function mark_full(server_id, now_us)
  local until_us = now_us + 5000000
  call('HSET', POOL .. 'server:' .. server_id, 'full', int(until_us))
  look_again(server_id, until_us)
end

-- Whether nobody knows if a create made its session: it had no answer, and was given up.
local function is_unknown(server_id, session_id)
  local since = call('HGET', POOL .. 'reserved:' .. server_id, session_id)
  return since and string.sub(since, 1, 7) == 'unknown'
end

-- A session is over: free its slot, also where nobody knew that it had begun. A tombstone meets the confirmation that
-- may still be on its way, or that of the same session, should its match come back to this server.
local function free_slot(server_id, session_id, now_us)
  if call('HDEL', POOL .. 'active:' .. server_id, session_id) == 1 then
    call('ZREM', POOL .. 'session_deadlines', server_id .. ' ' .. session_id)
    return true
  end
  local unknown = is_unknown(server_id, session_id)
  if unknown then
    call('HDEL', POOL .. 'reserved:' .. server_id, session_id)
  end
  local ended = POOL .. 'ended:' .. server_id
  call('ZADD', ended, int(now_us), session_id)
  call('ZREMRANGEBYSCORE', ended, '-inf', '(' .. int(now_us - 60000000))
  call('EXPIRE', ended, 120)
  return unknown
end

-- Forget a server and void its slots: its lease ran out, it left, or a new incarnation took its place.
local function forget_server(server_id)
  local active = call('HLEN', POOL .. 'active:' .. server_id)
  if call('HEXISTS', POOL .. 'server:' .. server_id, 'max_session_seconds') == 1 then
    for _, session_id in ipairs(call('HKEYS', POOL .. 'active:' .. server_id)) do
      call('ZREM', POOL .. 'session_deadlines', server_id .. ' ' .. session_id)
    end
  end
  call('UNLINK', POOL .. 'server:' .. server_id, POOL .. 'reserved:' .. server_id, POOL .. 'active:' .. server_id,
    POOL .. 'ended:' .. server_id)
  call('ZREM', POOL .. 'servers', server_id)
  call('ZREM', POOL .. 'quarantine', server_id)
  call('HDEL', POOL .. 'servers:open', server_id)
  return active
end
