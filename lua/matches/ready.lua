#!lua flags=allow-oom
-- ready: players have finished loading. The last one of a session makes it ready, and reserves a server for it, in
-- the same step; until then the answer says nothing.
--
-- KEYS    clock
-- ARGV    node lease_us wait_us placement; per player: player_id connection loading_session_id
-- RETURN  per player: code; of the last one of a session: code order loading_ms
--         the order (lib/placing.lua) is empty when no slot was free; loading_ms is -1 when this is a repeat
-- CODES   ok, not_in_queue, wrong_session_id
-- TOUCHES clock modes:pending player:* loading:* sessions:* servers:free servers:open:* server:* reserved:* active:*
-- SENDS   none
-- INCLUDE pool states sessions slots placing allocations

local node = ARGV[1]
local now_us = clock()
local terms = terms_of(node, ARGV[2], ARGV[3], ARGV[4], now_us)

local function all_ready(session)
  for _, player in ipairs(session.players) do
    call('HSET', POOL .. 'player:' .. player, 'state', ALLOCATING)
  end
  gather('ZREM', POOL .. 'sessions:loading:' .. session.game_mode, session.id)
  local given = place(session, terms)
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
  local own = f[1] == LOADING and call('HMGET', loading_key, player, '#missing')
  if own and own[1] == LOADING then
    local missing = own[2] - 1
    if missing == 0 then
      call('HSET', loading_key, player, 'ready', '#missing', '0', '#ready', terms.now)
      return all_ready(load_session(loading_session_id))
    end
    call('HSET', loading_key, player, 'ready', '#missing', missing)
  elseif f[1] == ALLOCATING then -- a repeat, whose first answer may have been lost with the order in it
    local session = load_session(loading_session_id)
    if session and is_placed_by(session, node) then
      return { 'ok', order(session), -1 }
    end
  end
  return { 'ok' }
end

local reply = each_item(5, 3, decide)
refresh_changed_servers(now_us)
return reply
