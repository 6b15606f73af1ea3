#!lua flags=allow-oom
-- confirm: dedicated servers have made the sessions. Their slots become active, and every player is told where to go.
--
-- KEYS    clock
-- ARGV    keep_seconds; per session: loading_session_id attempt session_id server_address
-- RETURN  per session: code ready_ms player...
-- CODES   matched (also when repeated), stale (another attempt owns the allocation, or it was given up),
--         lost (the server's slot was voided meanwhile: count it as a failed attempt)
-- TOUCHES clock player:* held node_players:* loading:* match:* matched:* sessions:* server:* reserved:* active:*
--         ended:* session_deadlines servers:open quarantine
-- SENDS   notifications:*
-- INCLUDE pool players servers sessions

local keep_seconds = tonumber(ARGV[1])
local now_us, redis_us = clock()
local reply = {}

-- The create has become a live session, unless its end was reported before this confirmation came.
local function activate(server_id, session_id)
  local ended_early = call('ZREM', POOL .. 'ended:' .. server_id, session_id) == 1
  if not ended_early then
    call('HSET', POOL .. 'active:' .. server_id, session_id, 0)
    local max_seconds = tonumber(call('HGET', POOL .. 'server:' .. server_id, 'max_session_seconds'))
    if max_seconds then
      call('ZADD', POOL .. 'session_deadlines', int(now_us + max_seconds * 1000000), server_id .. ' ' .. session_id)
    end
  end
  call('HDEL', POOL .. 'server:' .. server_id, 'failures', 'quarantined_until', 'probe')
  call('ZREM', POOL .. 'quarantine', server_id)
  refresh_server(server_id, now_us)
end

local function decide(loading_session_id, attempt, session_id, server_address)
  local session = load_session(loading_session_id)
  if not session then
    return { call('EXISTS', POOL .. 'match:' .. loading_session_id) == 1 and 'matched' or 'stale', -1 }
  end
  if session.state ~= 'allocating' or session.attempt ~= attempt or session.server == '' then
    return { 'stale', -1 }
  end
  if call('HDEL', POOL .. 'reserved:' .. session.server, loading_session_id) == 0 then
    return { 'lost', -1 }
  end
  activate(session.server, session_id)
  local tail = ',"session_id":' .. json_string(session_id) .. ',"server_address":' .. json_string(server_address)
    .. ',"game_mode":"' .. session.game_mode .. '","players":' .. players_json(session.players)
    .. ',"loading_session_id":"' .. loading_session_id .. '"}'
  call('SET', POOL .. 'match:' .. loading_session_id, tail, 'EX', keep_seconds)
  local answer = { 'matched', math.floor((now_us - session.created) / 1000) }
  for _, player in ipairs(session.players) do
    local record = load_player(player)
    if record and record.loading_session_id == loading_session_id then
      local seq = next_seq(record.seq, redis_us)
      local player_key = POOL .. 'player:' .. player
      call('HSET', player_key, 'state', 'matched', 'since', int(now_us), 'seq', int(seq), 'found_seq', int(seq),
        'session_id', session_id)
      call('EXPIRE', player_key, keep_seconds)
      call('SREM', POOL .. 'node_players:' .. record.node, player)
      if record.connection == '' then
        call('ZREM', POOL .. 'held', player)
      end
      publish(player, match_found_frame(seq, tail))
      answer[#answer + 1] = player
    end
  end
  forget_session(session)
  local matched = POOL .. 'matched:' .. session.game_mode
  call('ZADD', matched, int(now_us), loading_session_id)
  call('ZREMRANGEBYSCORE', matched, '-inf', '(' .. int(now_us - 60000000))
  call('EXPIRE', matched, 120)
  return answer
end

for i = 2, #ARGV, 4 do
  reply[#reply + 1] = decide(ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3])
end
return reply
