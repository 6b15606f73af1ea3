-- Loading sessions: from the match that formed to the dedicated server that took it, or to the queue again.
-- Needs players.lua and servers.lua.

local FAR_US = '9000000000000000'

-- The part of a session that every decision takes; nil when there is none. No attempt, no server: not placed yet.
local function load_session(loading_session_id)
  local f = call('HMGET', POOL .. 'loading:' .. loading_session_id, '#state', '#players', '#game_mode', '#created',
    '#attempt', '#server')
  if not f[1] then
    return nil
  end
  local players = {}
  for player in string.gmatch(f[2], '%S+') do
    players[#players + 1] = player
  end
  return { id = loading_session_id, state = f[1], players = players, game_mode = f[3], created = f[4],
    attempt = tonumber(f[5]) or 0, server = f[6] or '' }
end

-- Whether its allocation was given to this node.
local function is_placed_by(session, node)
  return session.server ~= '' and call('HGET', POOL .. 'loading:' .. session.id, '#node') == node
end

-- cjson escapes the slashes of an address, which is legal and ugly.
local function json_string(text)
  return (string.gsub(cjson.encode(text), '\\/', '/'))
end

local function players_json(players)
  return '["' .. table.concat(players, '","') .. '"]'
end

-- A frame of the match: its head differs from player to player by `seq` alone, so the tail is built once.
local function start_loading_tail(session, seconds)
  return ',"loading_session_id":"' .. session.id .. '","game_mode":"' .. session.game_mode
    .. '","players":' .. players_json(session.players)
    .. ',"timeout_seconds":' .. string.format('%.14g', math.max(0, seconds)) .. '}'
end

local function start_loading_frame(seq, tail)
  return '{"type":"start_loading","seq":' .. seq .. tail
end

-- For a player that missed it, or is back: with the seconds that are left.
local function late_start_loading_frame(seq, loading_session_id, now_us)
  local session = load_session(loading_session_id)
  local deadline = call('HGET', POOL .. 'loading:' .. loading_session_id, '#deadline')
  return start_loading_frame(seq, start_loading_tail(session, (deadline - now_us) / 1000000))
end

local function match_found_frame(seq, tail)
  return '{"type":"match_found","seq":' .. seq .. tail
end

-- The frames of a player's record that are newer than `seq`, in order: what its session has missed.
local function frames_since(player, record, seq, now_us)
  local f = call('HMGET', POOL .. 'player:' .. player, 'cancelled_seq', 'cancelled', 'queued_seq', 'requeued')
  local frames = {}
  if f[1] and tonumber(f[1]) > seq then
    frames[#frames + 1] = f[2]
  end
  if tonumber(f[3]) > seq then
    frames[#frames + 1] = queued_frame(f[3], record.game_mode, record.resume_token, f[4] == 'true')
  end
  if record.state == 'queued' or tonumber(record.seq) <= seq then
    return frames
  end
  if record.state == 'matched' then
    frames[#frames + 1] = match_found_frame(record.seq, call('GET', POOL .. 'match:' .. record.loading_session_id))
  else
    frames[#frames + 1] = late_start_loading_frame(record.seq, record.loading_session_id, now_us)
  end
  return frames
end

local function forget_session(session)
  call('DEL', POOL .. 'loading:' .. session.id)
  call('ZREM', POOL .. 'sessions:loading:' .. session.game_mode, session.id)
  call('ZREM', POOL .. 'sessions:allocating:' .. session.game_mode, session.id)
  call('ZREM', POOL .. 'sessions:unplaced:' .. session.game_mode, session.id)
end

-- The session of an index's entry. An entry without one is dropped: it must not stop every sweep from here on.
local function load_listed(loading_session_id, game_mode)
  local session = load_session(loading_session_id)
  if not session then
    forget_session({ id = loading_session_id, game_mode = game_mode })
  end
  return session
end

-- Undo a match. `at_fault` maps a player to the reason it leaves with; the others go back in front of the queue,
-- but for those who left during the allocation, whom nobody waits for any more.
local function cancel(session, reason, at_fault, now_us, redis_us)
  for _, player in ipairs(session.players) do
    local record = load_player(player)
    if record and record.loading_session_id == session.id then
      local gone = record.connection == '' and not call('ZSCORE', POOL .. 'held', player)
      if at_fault[player] or gone then
        call('ZREM', POOL .. 'held', player)
        call('SREM', POOL .. 'node_players:' .. record.node, player)
        bury(player, record, at_fault[player] or 'disconnected', redis_us)
      else
        local seq = next_seq(record.seq, redis_us)
        local cancelled = '{"type":"match_cancelled","seq":' .. seq .. ',"loading_session_id":"' .. session.id
          .. '","reason":"' .. reason .. '","requeued":true}'
        requeue(player, record, cancelled, seq, now_us)
      end
    end
  end
  forget_session(session)
end

local function somebody_there(session)
  for _, player in ipairs(session.players) do
    local record = load_player(player)
    if record and (record.connection ~= '' or call('ZSCORE', POOL .. 'held', player)) then
      return true
    end
  end
  return false
end

-- Where calls to a server go, read once per call of the script.
local places = {}

local function place_of(server_id)
  places[server_id] = places[server_id] or call('HMGET', POOL .. 'server:' .. server_id, 'endpoint', 'host', 'batch')
  return places[server_id]
end

-- What the allocator needs to ask a server for the session, as one flat list.
local function order(session)
  local f = place_of(session.server)
  local flat = { session.id, session.attempt, session.game_mode, session.server, f[1], f[2], f[3] }
  for _, player in ipairs(session.players) do
    flat[#flat + 1] = player
  end
  return flat
end

-- Reserve a slot for a ready match and lease the allocation to this node; without a slot it waits as `unplaced`,
-- which spends no attempt. Returns the order, or nil while it waits. The times are text: they are the same for a whole call.
local function place(session, servers, node, now, lease_until, wait_until)
  local loading_key = POOL .. 'loading:' .. session.id
  local server_id = reserve(servers, session.id, session.game_mode, now)
  local waits_until = session.state == 'allocating' and call('HGET', loading_key, '#wait_until')
  if not server_id then
    waits_until = waits_until or wait_until
    call('HSET', loading_key, '#state', 'allocating', '#server', '', '#wait_until', waits_until)
    gather('ZADD', POOL .. 'sessions:unplaced:' .. session.game_mode, waits_until, session.id)
    gather('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, FAR_US, session.id)
    return nil
  end
  session.server, session.attempt = server_id, session.attempt + 1
  call('HSET', loading_key, '#state', 'allocating', '#server', server_id, '#node', node, '#attempt', session.attempt)
  if waits_until then
    gather('ZREM', POOL .. 'sessions:unplaced:' .. session.game_mode, session.id)
  end
  gather('ZADD', POOL .. 'sessions:allocating:' .. session.game_mode, lease_until, session.id)
  return order(session)
end
