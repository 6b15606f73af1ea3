-- pool: one atomic look at the whole pool, in the form that benchmarks/simulation/pool_look.py reads, and the pool's time.
--
-- ARGV    prefix; the game modes
local pool, call = ARGV[1], redis.call

local function named(pattern)
  local names = {}
  for _, key in ipairs(call('KEYS', pool .. pattern .. '*')) do
    names[#names + 1] = string.sub(key, #pool + #pattern + 1)
  end
  return names
end

local function each(pattern, look_at)
  local found = {}
  for _, name in ipairs(named(pattern)) do
    found[name] = look_at(name)
  end
  return found
end

local look = { modes = {}, servers = {} }

look.players = each('player:', function(player)
  return call('HGETALL', pool .. 'player:' .. player)
end)

look.sessions = each('loading:', function(session)
  return call('HGETALL', pool .. 'loading:' .. session)
end)

look.nodes = each('node_players:', function(node)
  return call('SMEMBERS', pool .. 'node_players:' .. node)
end)

for i = 2, #ARGV do
  local mode = ARGV[i]
  local indexes = {}
  for _, stage in ipairs({ 'loading', 'allocating', 'unplaced' }) do
    indexes[stage] = call('ZRANGE', pool .. 'sessions:' .. stage .. ':' .. mode, 0, -1, 'WITHSCORES')
  end
  indexes.queue = call('SMEMBERS', pool .. 'queue:' .. mode)
  indexes.front = call('ZRANGE', pool .. 'queue:' .. mode .. ':front', 0, -1, 'WITHSCORES')
  indexes.waiting = call('ZRANGE', pool .. 'waiting:' .. mode, 0, -1, 'WITHSCORES')
  look.modes[mode] = indexes
end

for _, kind in ipairs({ 'server:', 'reserved:', 'active:' }) do
  for _, server in ipairs(named(kind)) do
    look.servers[server] = {
      record = call('HGETALL', pool .. 'server:' .. server),
      reserved = call('HGETALL', pool .. 'reserved:' .. server),
      active = call('HGETALL', pool .. 'active:' .. server),
      open = call('HGET', pool .. 'servers:open', server),
    }
  end
end

look.leases = call('ZRANGE', pool .. 'nodes', 0, -1)
look.held = call('ZRANGE', pool .. 'held', 0, -1, 'WITHSCORES')

local time = call('TIME')
local now_us = time[1] * 1000000 + time[2] - (call('HGET', pool .. 'clock', 'stopped_us') or 0)
return { cjson.encode(look), string.format('%.0f', now_us) }
