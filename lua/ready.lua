#!lua
-- ready: players have finished loading. The last one of a session makes it ready, and reserves a server for it, in
-- the same step; until then the answer says nothing.
--
-- KEYS    clock
-- ARGV    node lease_us wait_us; per player: player_id connection loading_session_id
-- RETURN  per player: code order loading_ms (the latter two when ok)
--         order is {loading_session_id attempt game_mode server_id endpoint host batch player...}, empty unless this
--         call completed the session and a slot was free; loading_ms is -1 unless this call completed it
-- CODES   ok, not_in_queue, wrong_session_id
-- TOUCHES clock player:* loading:* sessions:* servers:open server:* reserved:* active:*
-- SENDS   none
-- INCLUDE pool players servers sessions

local node, lease_us, wait_us = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now_us = clock()
local now = int(now_us)
local servers

local function all_ready(session)
  for _, player in ipairs(session.players) do
    call('HSET', POOL .. 'player:' .. player, 'state', 'allocating', 'since', now)
  end
  call('ZREM', POOL .. 'sessions:loading:' .. session.game_mode, session.id)
  servers = servers or open_servers()
  return place(session, servers, node, lease_us, wait_us, now_us)
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
    call('HSET', loading_key, player, 'ready', '#missing', missing)
    if missing == 0 then
      local session = load_session(loading_session_id)
      return { 'ok', all_ready(session) or {}, math.floor((now_us - session.created) / 1000) }
    end
  elseif f[1] == 'allocating' then -- a repeat, whose first answer may have been lost with the order in it
    local session = load_session(loading_session_id)
    if session and session.node == node and session.server ~= '' then
      return { 'ok', order(session), -1 }
    end
  end
  return { 'ok', {}, -1 }
end

local reply = each_item(4, 3, decide)
refresh_changed_servers(now_us)
return reply
