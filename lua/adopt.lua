#!lua
-- adopt: take over allocations whose lease ran out, for their node died or forgot them. The same attempt goes on, on
-- the same server with the same idempotency key, so a session that was made and never confirmed is found, not made twice.
--
-- KEYS    clock
-- ARGV    node lease_us wait_us attempts limit
-- RETURN  order...
-- CODES   none
-- TOUCHES clock modes player:* left:* queue:* waiting:* held node_players:* loading:* sessions:* servers:open server:*
--         reserved:* active:*
-- SENDS   notifications:*
-- INCLUDE pool players servers sessions

local node, lease_us, wait_us = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local attempts, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local now_us, redis_us = clock()
local servers
local reply = {}

local function adopt(session)
  if call('HEXISTS', POOL .. 'reserved:' .. session.server, session.id) == 1 then
    session.node = node
    call('HSET', POOL .. 'loading:' .. session.id, '#node', node)
    call('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, int(now_us + lease_us), session.id)
    return order(session)
  end
  if session.attempt >= attempts then -- its server is gone too, and it was the last one to try
    cancel(session, 'allocation_failed', {}, now_us, redis_us)
    return nil
  end
  servers = servers or open_servers()
  return place(session, servers, node, lease_us, wait_us, now_us)
end

for _, game_mode in ipairs(call('SMEMBERS', POOL .. 'modes')) do
  local due = call('ZRANGEBYSCORE', POOL .. 'sessions:allocating:' .. game_mode, '-inf', int(now_us), 'LIMIT', 0, limit)
  for _, loading_session_id in ipairs(due) do
    local session = load_listed(loading_session_id, game_mode)
    local flat = session and adopt(session)
    if flat then
      reply[#reply + 1] = flat
    end
  end
end
refresh_changed_servers(now_us)
return reply
