-- From a ready match to the dedicated server that is to take it. Needs slots.lua.

-- Servers whose slots this call has changed: refreshed once at its end, however many slots it took or freed.
local changed_servers = {}

local function refresh_changed_servers(now_us)
  write_gathered() -- the slots taken among it
  for server_id in pairs(changed_servers) do
    refresh_server(server_id, now_us)
  end
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

-- Whether its allocation was given to this node.
local function is_placed_by(session, node)
  return session.server ~= '' and call('HGET', POOL .. 'loading:' .. session.id, '#node') == node
end

-- Where calls to a server go, read once per call of the script.
local places = {}

local function place_of(server_id)
  if not places[server_id] then
    local f = call('HMGET', POOL .. 'server:' .. server_id, 'endpoint', 'host', 'batch')
    places[server_id] = server_id .. ' ' .. (f[1] or '') .. ' ' .. (f[2] or '') .. ' ' .. (f[3] or '')
  end
  return places[server_id]
end

-- What the allocator needs to ask a server for the session: `loading_session_id attempt game_mode server_id endpoint host
-- batch player...`, in one text.
local function order(session)
  return session.id .. ' ' .. session.attempt .. ' ' .. session.game_mode .. ' ' .. place_of(session.server) .. ' '
    .. table.concat(session.players, ' ')
end

local FAR_US = '9000000000000000'

-- Reserve a slot for a ready match and lease the allocation to this node; without a slot it waits as `unplaced`,
-- which spends no attempt. Returns the order, or nil while it waits. The times are text: they are the same for a whole call.
local function place(session, servers, node, now, lease_until, wait_until)
  local loading_key = POOL .. 'loading:' .. session.id
  local server_id = reserve(servers, session.id, session.game_mode, now)
  local waits_until = session.state == 'allocating' and call('HGET', loading_key, '#wait_until')
  if not server_id then
    waits_until = waits_until or wait_until
    call('HSET', loading_key, '#state', 'allocating', '#server', '', '#wait_until', waits_until)
    gather('ZADD', POOL .. 'sessions:unplaced:' .. session.game_mode, waits_until, session.id)
    gather('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, FAR_US, session.id)
    return nil
  end
  session.server, session.attempt = server_id, session.attempt + 1
  call('HSET', loading_key, '#state', 'allocating', '#server', server_id, '#node', node, '#attempt', session.attempt)
  if waits_until then
    gather('ZREM', POOL .. 'sessions:unplaced:' .. session.game_mode, session.id)
  end
  gather('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, lease_until, session.id)
  return order(session)
end
