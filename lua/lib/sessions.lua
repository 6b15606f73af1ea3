-- Loading sessions: the record of a match that has formed.

-- The part of a session that every decision takes; nil when there is none. No attempt, no server: not placed yet.
local function load_session(loading_session_id)
  local f = call('HMGET', POOL .. 'loading:' .. loading_session_id, '#state', '#players', '#game_mode', '#created',
    '#attempt', '#server')
  if not f[1] then
    return nil
  end
  if string.sub(f[2], 1, 1) ~= '[' then -- of a node of 0.1.0, which had spaces between
    f[2] = '["' .. string.gsub(f[2], ' ', '","') .. '"]'
  end
  return { id = loading_session_id, state = f[1], players = cjson.decode(f[2]), players_json = f[2], game_mode = f[3],
    created = f[4], attempt = tonumber(f[5]) or 0, server = f[6] or '' }
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
