-- Frames: what players are told, and the channel on which they are.

local function publish(player, frame)
  call('PUBLISH', POOL .. 'notifications:' .. player, frame)
end

local function queued_frame(seq, game_mode, resume_token, requeued)
  return '{"type":"queued","seq":' .. seq .. ',"game_mode":"' .. game_mode
    .. '","resume_token":"' .. resume_token .. '","requeued":' .. tostring(requeued) .. '}'
end

-- A frame of the match: its head differs from player to player by `seq` alone, so the tail is built once.
local function start_loading_tail(session, seconds)
  return ',"loading_session_id":"' .. session.id .. '","game_mode":"' .. session.game_mode
    .. '","players":' .. session.players_json
    .. ',"timeout_seconds":' .. string.format('%.14g', math.max(0, seconds)) .. '}'
end

local function start_loading_frame(seq, tail)
  return '{"type":"start_loading","seq":' .. seq .. tail
end

local function match_found_frame(seq, tail)
  return '{"type":"match_found","seq":' .. seq .. tail
end
