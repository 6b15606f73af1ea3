#!lua
-- ready: players have finished loading. The last one of a session makes it ready, and reserves a server for it, in
-- the same step; until then the answer says nothing.
--
-- KEYS    clock
-- ARGV    node lease_us wait_us; per player: player_id connection loading_session_id
-- RETURN  per player: code; of the last one of a session: code order loading_ms
--         the order (lib/placing.lua) is empty when no slot was free; loading_ms is -1 when this is a repeat
-- CODES   ok, not_in_queue, wrong_session_id
-- TOUCHES clock player:* loading:* sessions:* servers:open server:* reserved:* active:*
-- SENDS   none
-- INCLUDE pool sessions slots placing

local node = ARGV[1]
local now_us = clock()
local now, lease_until, wait_until = int(now_us), int(now_us + ARGV[2]), int(now_us + ARGV[3])
local servers

local function all_ready(session)
  for _, player in ipairs(session.players) do
    call('HSET', POOL .. 'player:' .. player, 'state', 'allocating')
  end
  gather('ZREM', POOL .. 'sessions:loading:' .. session.game_mode, session.id)
  servers = servers or open_servers()
  local given = place(session, servers, node, now, lease_until, wait_until)
  return { 'ok', given or '', math.floor((now_us - session.created) / 1000) }
end

local function decide(player, connection, loading_session_id)
  local f = redis.pcall('HMGET', POOL .. 'player:' .. player, 'state', 'connection', 'loading_session_id')
  if not f[1] or f[2] ~= connection then
    return { 'not_in_queue' }
  end
  if f[3] ~= loading_session_id then
    return { 'wrong_session_id' }
  end
  local loading_key = POOL .. 'loading:' .. loading_session_id
  local own = f[1] == 'loading' and call('HMGET', loading_key, player, '#missing')
  if own and own[1] == 'loading' then
    local missing = own[2] - 1
    if missing == 0 then
      call('HSET', loading_key, player, 'ready', '#missing', '0', '#ready', now)
      return all_ready(load_session(loading_session_id))
    end
    call('HSET', loading_key, player, 'ready', '#missing', missing)
  elseif f[1] == 'allocating' then -- a repeat, whose first answer may have been lost with the order in it
    local session = load_session(loading_session_id)
    if session and is_placed_by(session, node) then
      return { 'ok', order(session), -1 }
    end
  end
  return { 'ok' }
end

local reply = each_item(4, 3, decide)
refresh_changed_servers(now_us)
return reply
