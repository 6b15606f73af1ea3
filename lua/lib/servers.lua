-- Dedicated servers: their slots, which of them are open, and the choice among them.

local function accepts(game_modes, game_mode)
  return game_modes == '' or string.find(',' .. game_modes .. ',', ',' .. game_mode .. ',', 1, true) ~= nil
end

-- Recompute from its slots what a server offers, so no counter can drift. Returns its free slots.
-- A quarantined server offers nothing; once its quarantine is over, one slot, for a single match to probe it (`probe`
-- stands while that match is on its way).
local function refresh_server(server_id, now_us)
  local f = call('HMGET', POOL .. 'server:' .. server_id, 'capacity', 'state', 'full', 'quarantined_until', 'game_modes',
    'probe')
  local free = 0
  if f[1] and f[2] == 'live' and f[3] ~= '1' then
    free = f[1] - call('HLEN', POOL .. 'reserved:' .. server_id) - call('HLEN', POOL .. 'active:' .. server_id)
    if f[4] then
      free = math.min(free, (tonumber(f[4]) > now_us or f[6]) and 0 or 1)
    end
  end
  if free > 0 then
    local probed = f[4] and 1 or 0
    call('HSET', POOL .. 'servers:open', server_id, free .. ' ' .. f[1] .. ' ' .. probed .. ' ' .. f[5])
  else
    call('HDEL', POOL .. 'servers:open', server_id)
  end
  return free
end

-- Servers whose slots this call has changed: refreshed once at its end, however many slots it took or freed.
local changed_servers = {}

local function refresh_changed_servers(now_us)
  write_gathered() -- the slots taken among it
  for server_id in pairs(changed_servers) do
    refresh_server(server_id, now_us)
  end
end

-- The open servers, read once per call. `probed`: its quarantine is over, and one match is to find out.
local function open_servers()
  local flat, servers = call('HGETALL', POOL .. 'servers:open'), {}
  for i = 1, #flat, 2 do
    local free, capacity, probed, game_modes = string.match(flat[i + 1], '^(%d+) (%d+) ([01]) (.*)$')
    servers[#servers + 1] = { id = flat[i], free = tonumber(free), capacity = tonumber(capacity), probed = probed == '1',
      game_modes = game_modes }
  end
  return servers
end

-- Take a slot on the server with the largest free share; nil when there is none for this mode. The caller refreshes
-- the changed servers at its end.
local function reserve(servers, loading_session_id, game_mode, now)
  local best
  for _, server in ipairs(servers) do
    if server.free > 0 and accepts(server.game_modes, game_mode) then
      if not best or server.free * best.capacity > best.free * server.capacity then
        best = server
      end
    end
  end
  if not best then
    return nil
  end
  gather('HSET', POOL .. 'reserved:' .. best.id, loading_session_id, now)
  if best.probed then
    call('HSET', POOL .. 'server:' .. best.id, 'probe', loading_session_id)
  end
  best.free = best.free - 1
  changed_servers[best.id] = true
  return best.id
end

-- Half a second after the first failure in a row, twice as long after each further one, half a minute at most.
local function quarantine(server_id, now_us)
  local failures = call('HINCRBY', POOL .. 'server:' .. server_id, 'failures', 1)
  local until_us = now_us + math.min(30000000, 500000 * 2 ^ math.min(failures - 1, 10))
  call('HSET', POOL .. 'server:' .. server_id, 'quarantined_until', int(until_us))
  call('HDEL', POOL .. 'server:' .. server_id, 'probe')
  call('ZADD', POOL .. 'quarantine', int(until_us), server_id)
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

-- A session is over: free its slot. A tombstone meets the confirmation that may still be on its way.
local function free_slot(server_id, session_id, now_us)
  if call('HDEL', POOL .. 'active:' .. server_id, session_id) == 1 then
    call('ZREM', POOL .. 'session_deadlines', server_id .. ' ' .. session_id)
    return true
  end
  local ended = POOL .. 'ended:' .. server_id
  call('ZADD', ended, int(now_us), session_id)
  call('ZREMRANGEBYSCORE', ended, '-inf', '(' .. int(now_us - 60000000))
  call('EXPIRE', ended, 120)
  return false
end
