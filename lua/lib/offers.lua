-- Offers: tickets come within reach of the proposer of their mode, and out of it. Needs feed, states, tickets and
-- ticket_keys.

-- What the proposer needs of a ticket: a line each for its id, version, enqueue time, party, players and attributes.
local function ticket_text(ticket)
  return table.concat({ ticket.id, ticket.version, ticket.enqueued_at, ticket.party, ticket.players_json,
    ticket.attributes }, '\n')
end

-- The members as the match will need them; nil unless each of them waits and can be reached.
local function reachable_members(ticket)
  local members = {}
  for i, player in ipairs(ticket.players) do
    local f = call('HMGET', POOL .. 'player:' .. player, 'state', 'connection', 'ticket', 'seq')
    if f[1] ~= QUEUED or f[2] == '' or f[3] ~= ticket.id then
      return nil
    end
    members[i] = { player = player, seq = f[4], enqueued_at = ticket.enqueued_at,
      party = ticket.party == '' and '-' or ticket.party }
  end
  return members
end

-- Put a ticket within reach of the proposer once every member is. Each time is a new version: a proposal of an older one is
-- stale.
local function offer_ticket(ticket_id)
  local ticket = load_ticket(ticket_id)
  if not ticket or not is_complete(ticket) or not reachable_members(ticket) then
    return
  end
  if call('ZADD', POOL .. 'tickets:' .. ticket.game_mode, 'NX', ticket.enqueued_at, ticket_id) == 1 then
    ticket.version = int(call('HINCRBY', POOL .. 'ticket:' .. ticket_id, '#version', 1))
    write_feed(ticket.game_mode, { 'put', ticket_text(ticket) })
  end
end

-- Take a ticket out of its reach: `held` while a member's link is lost, or `removed`.
local function recall_ticket(ticket_id, game_mode, change)
  if call('ZREM', POOL .. 'tickets:' .. game_mode, ticket_id) == 1 then
    write_feed(game_mode, { change, ticket_id })
  end
end

-- Its players leave.
local function forget_ticket(ticket_id, game_mode)
  recall_ticket(ticket_id, game_mode, 'removed')
  delete_ticket(ticket_id)
end
