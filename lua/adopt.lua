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
-- INCLUDE pool frames players queue sessions cancel slots placing

local node, attempts, limit = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local now_us, redis_us = clock()
local now, lease_until, wait_until = int(now_us), int(now_us + ARGV[2]), int(now_us + ARGV[3])
local servers
local reply = {}

local function adopt(session)
  if call('HEXISTS', POOL .. 'reserved:' .. session.server, session.id) == 1 then
    call('HSET', POOL .. 'loading:' .. session.id, '#node', node)
    call('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, lease_until, session.id)
    return order(session)
  end
  if session.attempt >= attempts then -- its server is gone too, and it was the last one to try
    cancel(session, 'allocation_failed', {}, redis_us)
    return nil
  end
  servers = servers or open_servers()
  return place(session, servers, node, now, lease_until, wait_until)
end

for _, game_mode in ipairs(call('SMEMBERS', POOL .. 'modes')) do
  local due = call('ZRANGEBYSCORE', POOL .. 'sessions:allocating:' .. game_mode, '-inf', now, 'LIMIT', 0, limit)
  each_listed(due, function(loading_session_id)
    local session = load_listed(loading_session_id, game_mode)
    reply[#reply + 1] = session and adopt(session) or nil
  end)
end
refresh_changed_servers(now_us)
return reply
