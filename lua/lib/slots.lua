-- Slots: what each dedicated server offers, and the index of it, by which placing.lua finds a server.
--
-- Servers that take the same game modes in the same region are one class. `servers:free` counts the slots that each class
-- offers, and `servers:open:<class>` sorts its servers by the share of their slots that they offer.

-- Names a match by its players: they come back under another id, and must be known again.
local function players_digest(match)
  local players = { unpack(match.players) }
  table.sort(players)
  return redis.sha1hex(table.concat(players, ' '))
end

-- In a class's name `*` stands for any game mode.
local function class_of(game_modes, region)
  return (game_modes == '' and '*' or game_modes) .. ' ' .. region
end

-- By class, by how many its free slots change: written with what is gathered, by write_offers.
local changed_classes = {}

-- Offer `free` slots of a server. `before` is how many the index has of it.
local function offer(server_id, class, before, free, capacity)
  if free == before then
    return
  end
  changed_classes[class] = (changed_classes[class] or 0) + free - before
  if free > 0 then
    gather('ZADD', POOL .. 'servers:open:' .. class, free / capacity, server_id)
    call('HSET', POOL .. 'server:' .. server_id, 'offered', free)
  else
    gather('ZREM', POOL .. 'servers:open:' .. class, server_id)
    call('HDEL', POOL .. 'server:' .. server_id, 'offered')
  end
end

local function write_offers()
  write_gathered()
  for class, change in pairs(changed_classes) do
    if change ~= 0 and call('HINCRBY', POOL .. 'servers:free', class, change) == 0 then
      call('HDEL', POOL .. 'servers:free', class)
    end
  end
  changed_classes = {}
end

-- Take a server out of the index, before its class or capacity changes or it goes.
local function withdraw_offer(server_id)
  local f = call('HMGET', POOL .. 'server:' .. server_id, 'offered', 'game_modes', 'region')
  if f[1] then
    offer(server_id, class_of(f[2], f[3]), tonumber(f[1]), 0)
    write_offers()
  end
end

-- What a server's slots depend on, in the order that offer_what_is_free expects, and further fields of its record.
local function read_slots(server_id, ...)
  return call('HMGET', POOL .. 'server:' .. server_id, 'capacity', 'state', 'full', 'quarantined_until', 'probe',
    'offered', 'game_modes', 'region', 'unlisted', ...)
end

-- Recompute from its slots what a server offers: no counter can drift. `f` is what read_slots says of it.
-- A quarantined server offers nothing; once its quarantine is over, one slot, for a single match to probe it (`probe`
-- stands while that match is on its way).
local function offer_what_is_free(server_id, f, now_us)
  if not f[1] then
    return
  end
  local free = 0
  if f[2] == 'live' and not f[3] then
    free = f[1] - call('HLEN', POOL .. 'reserved:' .. server_id) - call('HLEN', POOL .. 'active:' .. server_id)
      - (f[9] or 0)
    if f[4] then
      free = math.min(free, (tonumber(f[4]) > now_us or f[5]) and 0 or 1)
    end
  end
  offer(server_id, class_of(f[7], f[8]), tonumber(f[6] or 0), math.max(0, free), f[1])
end

-- Servers whose slots or state this call has changed, each with what read_slots says of it now, or true.
local changed_servers = {}

-- Offer what they have free now: once, however many slots each took or freed.
local function refresh_changed_servers(now_us)
  write_gathered() -- the slots taken among it
  local server_ids = {}
  for server_id in pairs(changed_servers) do
    server_ids[#server_ids + 1] = server_id
  end
  each_listed(server_ids, function(server_id)
    local f = changed_servers[server_id]
    offer_what_is_free(server_id, f == true and read_slots(server_id) or f, now_us)
  end)
  changed_servers = {}
  write_offers()
end

-- These sessions of a server end at this time at the latest: expire_servers frees their slots.
local function set_deadline(server_id, sessions, deadline_us)
  local deadline, entries = int(deadline_us), {}
  for i, session_id in ipairs(sessions) do
    entries[2 * i - 1], entries[2 * i] = deadline, session_id
  end
  call('ZADD', POOL .. 'session_deadlines:' .. server_id, unpack(entries))
  call('ZADD', POOL .. 'session_deadlines', 'LT', deadline, server_id)
end
