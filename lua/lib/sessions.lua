-- Loading sessions: the record of a match that has formed.

-- The part of a session that every decision takes; nil when there is none. No attempt, no server: not placed yet.
local function load_session(loading_session_id)
  local f = call('HMGET', POOL .. 'loading:' .. loading_session_id, '#state', '#players', '#game_mode', '#created',
    '#attempt', '#server', '#details')
  if not f[1] then
    return nil
  end
  if string.sub(f[2], 1, 1) ~= '[' then -- of a node of 0.1.0, which had spaces between
    f[2] = '["' .. string.gsub(f[2], ' ', '","') .. '"]'
  end
  return { id = loading_session_id, state = f[1], players = cjson.decode(f[2]), players_json = f[2], game_mode = f[3],
    created = f[4], attempt = tonumber(f[5]) or 0, server = f[6] or '', details = f[7] or '' }
end

-- The region that the rules of its mode have settled on; nil for any.
local function region_of(session)
  local region = session.details ~= '' and call('HGET', POOL .. 'loading:' .. session.id, '#region')
  return region and region ~= '' and region or nil
end

-- The session waits for no slot of its region any more.
local function release_region(session, region)
  call('SREM', POOL .. 'sessions:bound:' .. session.game_mode .. ' ' .. region, session.id)
end

local function forget_session(session)
  local region = region_of(session)
  if region then
    release_region(session, region)
  end
  call('DEL', POOL .. 'loading:' .. session.id)
  call('ZREM', POOL .. 'sessions:loading:' .. session.game_mode, session.id)
  call('ZREM', POOL .. 'sessions:allocating:' .. session.game_mode, session.id)
  call('ZREM', POOL .. 'sessions:unplaced:' .. session.game_mode, session.id)
end

-- Visit each game mode that has sessions. Forming notes it in `modes:pending`; one that has none left is forgotten here.
local function each_mode_with_sessions(visit)
  for _, wanted in ipairs(call('SMEMBERS', POOL .. 'modes:pending')) do
    if not string.find(wanted, ' ', 1, true) then -- the others are of a mode in one region
      visit(wanted)
      if call('EXISTS', POOL .. 'sessions:loading:' .. wanted, POOL .. 'sessions:allocating:' .. wanted) == 0 then
        call('SREM', POOL .. 'modes:pending', wanted)
      end
    end
  end
end

-- The session of an index's entry. An entry without one is dropped: it must not stop every sweep from here on.
local function load_listed(loading_session_id, game_mode)
  local session = load_session(loading_session_id)
  if not session then
    forget_session({ id = loading_session_id, game_mode = game_mode, details = '' })
  end
  return session
end
