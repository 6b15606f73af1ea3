#!lua flags=allow-oom
-- confirm: dedicated servers have made the sessions. Their slots become active, and every player is told where to go.
--
-- KEYS    clock
-- ARGV    keep_seconds; per session: loading_session_id attempt session_id server_address
-- WHERE   server_address: as a JSON string
-- RETURN  per session: code ready_ms player...
-- CODES   matched (also when repeated), stale (another attempt owns the allocation, or it was given up),
--         lost (the server's slot was voided meanwhile: count it as a failed attempt)
-- TOUCHES clock player:* held node_players:* loading:* match:* matched:* sessions:* server:* reserved:* active:*
--         ended:* session_deadlines servers:open quarantine
-- SENDS   notifications:*
-- INCLUDE pool frames sessions slots

local keep_seconds = ARGV[1]
local now_us, redis_us = clock()
local now = int(now_us)

local live = {} -- by server: the fields that its new sessions add to its slots
local done = {} -- keys of the loading sessions that have become matches, all deleted in one command at the end
local game_modes = {}

local function tell_players(session, tail, answer)
  for _, player in ipairs(session.players) do
    local player_key = POOL .. 'player:' .. player
    local f = call('HMGET', player_key, 'loading_session_id', 'seq', 'node', 'connection')
    if f[1] == session.id then
      local seq = next_seq(f[2], redis_us)
      call('HSET', player_key, 'state', 'matched', 'seq', seq)
      call('EXPIRE', player_key, keep_seconds)
      gather('SREM', POOL .. 'node_players:' .. f[3], player)
      if f[4] == '' then
        call('ZREM', POOL .. 'held', player)
      end
      publish(player, match_found_frame(seq, tail))
      answer[#answer + 1] = player
    end
  end
end

local function is_matched(loading_session_id)
  return call('EXISTS', POOL .. 'match:' .. loading_session_id) == 1
end

local function decide(loading_session_id, attempt, session_id, server_address)
  local session = load_session(loading_session_id)
  if not session then
    return { is_matched(loading_session_id) and 'matched' or 'stale', -1 }
  end
  if session.state ~= 'allocating' or session.attempt ~= tonumber(attempt) or session.server == '' then
    return { 'stale', -1 }
  end
  if call('HDEL', POOL .. 'reserved:' .. session.server, loading_session_id) == 0 then
    return { is_matched(loading_session_id) and 'matched' or 'lost', -1 } -- matched: it is twice in this call
  end
  local new = live[session.server] or {}
  live[session.server] = new
  new[#new + 1] = session_id
  new[#new + 1] = '0'
  local tail = ',"session_id":"' .. session_id .. '","server_address":' .. server_address
    .. ',"game_mode":"' .. session.game_mode .. '","players":' .. session.players_json
    .. ',"loading_session_id":"' .. loading_session_id .. '"}'
  call('SET', POOL .. 'match:' .. loading_session_id, tail, 'EX', keep_seconds)
  done[#done + 1] = POOL .. 'loading:' .. loading_session_id
  game_modes[session.game_mode] = true
  gather('ZADD', POOL .. 'matched:' .. session.game_mode, now, loading_session_id)
  gather('ZREM', POOL .. 'sessions:allocating:' .. session.game_mode, loading_session_id)
  local answer = { 'matched', math.floor((now_us - session.created) / 1000) }
  tell_players(session, tail, answer)
  return answer
end

-- Creates have become live sessions, unless their end was reported before this confirmation came.
local function activate(server_id, new)
  local active, ended = POOL .. 'active:' .. server_id, POOL .. 'ended:' .. server_id
  local server_key = POOL .. 'server:' .. server_id
  call('HSET', active, unpack(new))
  local f = call('HMGET', server_key, 'max_session_seconds', 'failures', 'full')
  local some_ended = call('EXISTS', ended) == 1
  for i = 1, #new, 2 do
    local session_id = new[i]
    if some_ended and call('ZREM', ended, session_id) == 1 then
      call('HDEL', active, session_id)
    elseif f[1] then
      call('ZADD', POOL .. 'session_deadlines', int(now_us + f[1] * 1000000), server_id .. ' ' .. session_id)
    end
  end
  if f[2] then
    call('HDEL', server_key, 'failures', 'quarantined_until', 'probe')
    if not f[3] then
      call('ZREM', POOL .. 'quarantine', server_id)
    end
  end
  refresh_server(server_id, now_us)
end

local reply = each_item(2, 4, decide)
if #done > 0 then
  call('DEL', unpack(done))
end
write_gathered()
for server_id, new in pairs(live) do
  activate(server_id, new)
end
for game_mode in pairs(game_modes) do
  local key = POOL .. 'matched:' .. game_mode
  call('ZREMRANGEBYSCORE', key, '-inf', '(' .. int(now_us - 60000000))
  call('EXPIRE', key, 120)
end
return reply
