-- Frames: the messages that players get, as JSON, and the channel that carries them.

local function publish(player, frame)
  call(PUBLISH, CHANNELS .. 'notifications:' .. player, frame)
end

-- `ticket_id` is empty in a random mode.
local function queued_frame(seq, game_mode, resume_token, requeued, ticket_id)
  local ticket_field = ''
  if ticket_id ~= '' then
    local estimated_wait = call('HGET', POOL .. 'ticket:' .. ticket_id, '#estimated_wait')
    ticket_field = ',"ticket_id":"' .. ticket_id .. '","estimated_wait_seconds":' .. (estimated_wait or 'null')
  end
  return '{"type":"queued","seq":' .. seq .. ',"game_mode":"' .. game_mode .. '","resume_token":"' .. resume_token
    .. '","requeued":' .. tostring(requeued) .. ticket_field .. '}'
end

local function party_frame(seq, ticket, seconds)
  return '{"type":"party","seq":' .. seq .. ',"party_id":"' .. ticket.party .. '","members":' .. ticket.players_json
    .. ',"missing":' .. ticket.size - #ticket.players
    .. ',"timeout_seconds":' .. string.format('%.14g', math.max(0, seconds)) .. '}'
end

-- The frames of a match differ from player to player by `seq` alone, so their common tail is built once. `details` is what
-- rules have settled: further fields, as JSON.
local function start_loading_tail(session, seconds)
  return ',"loading_session_id":"' .. session.id .. '","game_mode":"' .. session.game_mode
    .. '","players":' .. session.players_json .. session.details
    .. ',"timeout_seconds":' .. string.format('%.14g', math.max(0, seconds)) .. '}'
end

local function start_loading_frame(seq, tail)
  return '{"type":"start_loading","seq":' .. seq .. tail
end

-- `server_address` is a JSON string.
local function match_found_tail(session, session_id, server_address)
  return ',"session_id":"' .. session_id .. '","server_address":' .. server_address
    .. ',"game_mode":"' .. session.game_mode .. '","players":' .. session.players_json .. session.details
    .. ',"loading_session_id":"' .. session.id .. '"}'
end

-- `token` lets this player alone into the session; may be nil.
local function match_found_frame(seq, tail, token)
  local token_field = token and ',"join_token":"' .. token .. '"' or ''
  return '{"type":"match_found","seq":' .. seq .. token_field .. tail
end

local function match_cancelled_frame(seq, loading_session_id, reason)
  return '{"type":"match_cancelled","seq":' .. seq .. ',"loading_session_id":"' .. loading_session_id
    .. '","reason":"' .. reason .. '","requeued":true}'
end

-- `player` is the member of its party that left, where that is the reason.
local function dequeued_frame(seq, reason, player)
  local player_field = player and ',"player_id":"' .. player .. '"' or ''
  return '{"type":"dequeued","seq":' .. seq .. ',"reason":"' .. reason .. '"' .. player_field .. '}'
end

local function resumed_frame(seq, record)
  local session_field = ''
  if record.loading_session_id ~= '' then
    session_field = ',"loading_session_id":"' .. record.loading_session_id .. '"'
  end
  return '{"type":"resumed","seq":' .. seq .. ',"state":"' .. record.state .. '","game_mode":"'
    .. record.game_mode .. '"' .. session_field .. ',"resume_token":"' .. record.resume_token .. '"}'
end
