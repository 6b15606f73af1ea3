#!lua flags=allow-oom
-- confirm: dedicated servers have made the sessions. Their slots become active, and every player is told where to go.
--
-- KEYS    clock
-- ARGV    keep_seconds; per session: loading_session_id attempt session_id server_address join_tokens
-- WHERE   server_address: as a JSON string; empty: the address that the server registered
--         join_tokens: one of each player, in the order of the session's players, separated by spaces; may be empty
-- RETURN  per session: code ready_ms player...
-- CODES   matched (also when repeated), stale (another attempt owns the allocation, or it was given up),
--         lost (the server's slot was voided meanwhile: count it as a failed attempt)
-- TOUCHES clock player:* held node_players:* loading:* match:* matched:* sessions:* server:* reserved:* active:*
--         ended:* results:* session_deadlines* servers:free servers:open:* quarantine
--         ticket:* party:* gathering met:* events
-- SENDS   notifications:*
-- INCLUDE pool events states frames queue ticket_keys sessions slots meetings

local keep_seconds = ARGV[1]
local now_us, redis_us = clock()
local now = int(now_us)

local live = {} -- by server: its new sessions, each with its `id`, its `match` and its `address`
local done = {} -- keys of the loading sessions that have become matches and of their tickets, deleted in one command at the end
local game_modes = {}

local function tell_players(session, tail, tokens, answer)
  for i, player in ipairs(session.players) do
    local player_key = POOL .. 'player:' .. player
    local f = call('HMGET', player_key, 'loading_session_id', 'seq', 'node', 'connection')
    if f[1] == session.id then
      local seq = next_seq(f[2], redis_us)
      call('HSET', player_key, 'state', MATCHED, 'seq', seq)
      call('EXPIRE', player_key, keep_seconds)
      release(player, f[3], f[4])
      publish(player, match_found_frame(seq, tail, tokens[i]))
      answer[#answer + 1] = player
    end
  end
end

-- What `match_found` says, once more on `resume`.
local function keep_match(session, tail, tokens)
  local key, fields = POOL .. 'match:' .. session.id, { '#tail', tail }
  for i, token in ipairs(tokens) do
    fields[#fields + 1] = session.players[i]
    fields[#fields + 1] = token
  end
  call('HSET', key, unpack(fields))
  call('EXPIRE', key, keep_seconds)
end

-- Their players have what they waited for. Their parties may gather anew. From here on they have met, where a rule wants to
-- know: a match that was cancelled is no meeting.
local function settle_tickets(session)
  if session.details ~= '' then
    local f = call('HMGET', POOL .. 'loading:' .. session.id, '#tickets', '#parties', '#remember_seconds')
    if f[3] then
      note_meetings(session.players, now_us, f[3])
    end
    for ticket_id in string.gmatch(f[2], '%S+') do
      delete_ticket(ticket_id)
    end
    for ticket_id in string.gmatch(f[1], '%S+') do
      done[#done + 1] = POOL .. 'ticket:' .. ticket_id
    end
  end
end

local function is_matched(loading_session_id)
  return call('EXISTS', POOL .. 'match:' .. loading_session_id) == 1
end

local function decide(loading_session_id, attempt, session_id, server_address, join_tokens)
  local session = load_session(loading_session_id)
  if not session then
    return { is_matched(loading_session_id) and 'matched' or 'stale', -1 }
  end
  if session.state ~= ALLOCATING or session.attempt ~= tonumber(attempt) or session.server == '' then
    return { 'stale', -1 }
  end
  if call('HDEL', POOL .. 'reserved:' .. session.server, loading_session_id) == 0 then
    return { is_matched(loading_session_id) and 'matched' or 'lost', -1 } -- matched: it is twice in this call
  end
  local new = live[session.server] or {}
  live[session.server] = new
  if server_address == '' then
    server_address = cjson.encode(call('HGET', POOL .. 'server:' .. session.server, 'address'))
  end
  new[#new + 1] = { id = session_id, match = session, address = server_address }
  local tail = match_found_tail(session, session_id, server_address)
  local tokens = {}
  for token in string.gmatch(join_tokens, '%S+') do
    tokens[#tokens + 1] = token
  end
  keep_match(session, tail, tokens)
  done[#done + 1] = POOL .. 'loading:' .. loading_session_id
  game_modes[session.game_mode] = true
  gather('ZADD', POOL .. 'matched:' .. session.game_mode, now, loading_session_id)
  gather('ZREM', POOL .. 'sessions:allocating:' .. session.game_mode, loading_session_id)
  local answer = { 'matched', math.floor((now_us - session.created) / 1000) }
  tell_players(session, tail, tokens, answer)
  settle_tickets(session)
  return answer
end

-- Creates have become live sessions, unless their end was reported before this confirmation came.
local function activate(server_id, new)
  local ended, fields, sessions = POOL .. 'ended:' .. server_id, {}, {}
  local some_ended = call('EXISTS', ended) == 1
  local f = read_slots(server_id, 'max_session_seconds', 'failures')
  for _, session in ipairs(new) do
    local match = session.match
    note_line('match.found\t' .. match.id .. '\t' .. match.game_mode .. '\t' .. session.id .. '\t' .. server_id .. '\t'
      .. (f[8] or '') .. '\t' .. match.players_json .. '\t' .. session.address)
    if not some_ended or call('ZREM', ended, session.id) == 0 then
      sessions[#sessions + 1] = session.id
      fields[#fields + 1] = session.id
      fields[#fields + 1] = '0'
    else
      note_event('session.ended', session.id, server_id, 'reported',
        call('HGET', POOL .. 'results:' .. server_id, session.id) or '')
    end
  end
  if #sessions > 0 then
    call('HSET', POOL .. 'active:' .. server_id, unpack(fields))
    if f[10] then
      set_deadline(server_id, sessions, now_us + f[10] * 1000000)
    end
  end
  if f[11] then
    call('HDEL', POOL .. 'server:' .. server_id, 'failures', 'failed_by', 'quarantined_until', 'probe')
    f[4], f[5] = false, false
    if not f[3] then
      call('ZREM', POOL .. 'quarantine', server_id)
    end
  end
  changed_servers[server_id] = f
end

local reply = each_item(2, 5, decide)
if #done > 0 then
  call('DEL', unpack(done))
end
write_gathered()
for server_id, new in pairs(live) do
  activate(server_id, new)
end
refresh_changed_servers(now_us)
write_events(redis_us)
for game_mode in pairs(game_modes) do
  local key = POOL .. 'matched:' .. game_mode
  trim(key, now_us - 60000000)
  call('EXPIRE', key, 120)
end
return reply
