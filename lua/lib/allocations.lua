-- Allocations: a ready match gets a slot, and a node that asks its dedicated server for the session. Needs slots, placing
-- and states.

-- What is the same for all matches that a call places. The times are text.
local function terms_of(node, lease_us, wait_us, placement, now_us)
  return { node = node, placement = placement, now = int(now_us), lease_until = int(now_us + lease_us),
    wait_until = int(now_us + wait_us) }
end

-- Whether its allocation was given to this node.
local function is_placed_by(session, node)
  return session.server ~= '' and call('HGET', POOL .. 'loading:' .. session.id, '#node') == node
end

-- Where calls to a server go, read once per call of the script.
local places = {}

local function place_of(server_id)
  places[server_id] = places[server_id] or read_server(server_id).place
  return places[server_id]
end

-- What the allocator needs to ask a server for the session: `loading_session_id attempt game_mode server_id endpoint host
-- batch player...`, in one text. Behind a tab follow, where rules have settled them, further fields for the server, as JSON.
local function order(session)
  local settled = ''
  if session.details ~= '' then
    local attributes = call('HGET', POOL .. 'loading:' .. session.id, '#attributes')
    settled = '\t{' .. string.sub(session.details, 2) .. ',"attributes":' .. attributes .. '}'
  end
  return session.id .. ' ' .. session.attempt .. ' ' .. session.game_mode .. ' ' .. place_of(session.server) .. ' '
    .. table.concat(session.players, ' ') .. settled
end

local FAR_US = '9000000000000000'

-- Reserve a slot for a ready match and lease the allocation to a node; without a slot it waits as `unplaced`, which
-- spends no attempt. Returns the order, or nil while it waits.
local function place(session, terms)
  local loading_key = POOL .. 'loading:' .. session.id
  local region = region_of(session)
  local server = reserve(session, region, terms.placement, terms.now)
  local waits_until = session.state == ALLOCATING and call('HGET', loading_key, '#wait_until')
  if not server then
    waits_until = waits_until or terms.wait_until
    call('HSET', loading_key, '#state', ALLOCATING, '#server', '', '#wait_until', waits_until)
    gather('ZADD', POOL .. 'sessions:unplaced:' .. session.game_mode, waits_until, session.id)
    gather('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, FAR_US, session.id)
    if region then
      bind_to_region(session.id, session.game_mode, region)
    end
    return nil
  end
  places[server.id] = server.place
  session.server, session.attempt = server.id, session.attempt + 1
  call('HSET', loading_key, '#state', ALLOCATING, '#server', server.id, '#node', terms.node,
    '#attempt', session.attempt)
  if waits_until then
    gather('ZREM', POOL .. 'sessions:unplaced:' .. session.game_mode, session.id)
  end
  gather('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, terms.lease_until, session.id)
  if region then
    release_region(session, region)
  end
  return order(session)
end
