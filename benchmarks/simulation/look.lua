-- look: one atomic look at a simulated pool, as JSON. Hashes are flat lists of fields and values; sorted sets of
-- members and scores.
--
-- ARGV    prefix; then four counted lists: players, game modes, nodes, dedicated servers
local pool, at = ARGV[1], 2
local call = redis.call

local function each(look_at)
  local found = {}
  for i = at + 1, at + ARGV[at] do
    found[ARGV[i]] = look_at(ARGV[i])
  end
  at = at + 1 + ARGV[at]
  return found
end

local look, sessions = {}, {}

look.players = each(function(player)
  return call('HGETALL', pool .. 'player:' .. player)
end)

look.modes = each(function(mode)
  local indexes = {}
  for _, stage in ipairs({ 'loading', 'allocating', 'unplaced' }) do
    local index = call('ZRANGE', pool .. 'sessions:' .. stage .. ':' .. mode, 0, -1, 'WITHSCORES')
    indexes[stage] = index
    for i = 1, #index, 2 do
      sessions[index[i]] = sessions[index[i]] or call('HGETALL', pool .. 'loading:' .. index[i])
    end
  end
  indexes.queue = call('SMEMBERS', pool .. 'queue:' .. mode)
  indexes.front = call('ZRANGE', pool .. 'queue:' .. mode .. ':front', 0, -1, 'WITHSCORES')
  indexes.waiting = call('ZRANGE', pool .. 'waiting:' .. mode, 0, -1, 'WITHSCORES')
  return indexes
end)
look.sessions = sessions

look.nodes = each(function(node)
  return call('SMEMBERS', pool .. 'node_players:' .. node)
end)

look.servers = each(function(server)
  return {
    record = call('HGETALL', pool .. 'server:' .. server),
    reserved = call('HGETALL', pool .. 'reserved:' .. server),
    active = call('HGETALL', pool .. 'active:' .. server),
    open = call('HGET', pool .. 'servers:open', server),
  }
end)
look.leases = call('ZRANGEBYSCORE', pool .. 'nodes', '(0', '+inf')
look.held = call('ZRANGE', pool .. 'held', 0, -1, 'WITHSCORES')
return cjson.encode(look)
