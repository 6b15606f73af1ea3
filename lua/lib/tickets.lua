-- Tickets: what waits in a mode whose matches are formed by rules, for one player or for a party. In a random mode a player
-- has none. Needs frames and states.

local function load_ticket(ticket_id)
  local f = call('HMGET', POOL .. 'ticket:' .. ticket_id, '#game_mode', '#players', '#size', '#party', '#enqueued_at',
    '#version', '#attributes')
  if not f[1] then
    return nil
  end
  return { id = ticket_id, game_mode = f[1], players = cjson.decode(f[2]), players_json = f[2], size = tonumber(f[3]),
    party = f[4], enqueued_at = f[5], version = f[6] or '0', attributes = f[7] }
end

local function is_complete(ticket)
  return #ticket.players == ticket.size
end

local function seconds_to_gather(ticket_id, now_us)
  local deadline = call('ZSCORE', POOL .. 'gathering', ticket_id)
  return deadline and (deadline - now_us) / 1000000 or 0
end

-- The frame of a player that waits, or whose party gathers.
local function waiting_frame(player, record, seq, now_us)
  if record.state == GATHERING then
    local ticket = load_ticket(record.ticket)
    return party_frame(seq, ticket, seconds_to_gather(ticket.id, now_us))
  end
  local requeued = call('HGET', POOL .. 'player:' .. player, 'requeued') == 'true'
  return queued_frame(seq, record.game_mode, record.resume_token, requeued, record.ticket)
end
