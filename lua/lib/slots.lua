-- Slots: what dedicated servers have free, and for whom.

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
  if f[1] and f[2] == 'live' and not f[3] then
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
