-- Parties: how tickets begin. Each player brings its part of a ticket: `<party_id> <party_size> <attributes>`, with an empty
-- party_id for a player alone and the attributes as JSON, which no script reads. Needs events, frames, membership, players and tickets.

local function read_part(text)
  local party, size, attributes = string.match(text, '^(%S*) (%d+) (.*)$')
  return { party = party, size = tonumber(size), attributes = attributes }
end

local function has_member(ticket, player)
  for _, member in ipairs(ticket.players) do
    if member == player then
      return true
    end
  end
  return false
end

-- The ticket of a party that has begun to gather; nil when this player is its first. The second result says that the party
-- does not take this player: it is of another mode or size, or complete.
local function party_ticket(player, part, game_mode)
  local ticket_id = part.party ~= '' and call('GET', POOL .. 'party:' .. part.party)
  local ticket = ticket_id and load_ticket(ticket_id)
  if not ticket then
    return nil, false
  end
  return ticket, ticket.game_mode ~= game_mode or ticket.size ~= part.size
    or is_complete(ticket) and not has_member(ticket, player)
end

-- Unique in the pool, for each player's numbers only grow.
local function new_ticket_id(player, seq)
  local hex = redis.sha1hex(player .. ' ' .. seq)
  return string.sub(hex, 1, 8) .. '-' .. string.sub(hex, 9, 12) .. '-4' .. string.sub(hex, 14, 16) .. '-a'
    .. string.sub(hex, 18, 20) .. '-' .. string.sub(hex, 21, 32)
end

-- What `queued` says of the wait to come. Tickets that are written anew after a loss of data have none.
local function note_estimated_wait(ticket_id, part)
  if (part.estimated_wait or '') ~= '' then
    call('HSET', POOL .. 'ticket:' .. ticket_id, '#estimated_wait', part.estimated_wait)
  end
end

-- Begin a ticket with this player, or add it to that of its party. `waits_since` is empty for a player that is new: its
-- ticket waits from the moment in which it is complete.
local function join_ticket(ticket, player, part, game_mode, seq, waits_since, now_us, deadline_us)
  if not ticket then
    ticket = { id = new_ticket_id(player, seq), game_mode = game_mode, players = {}, size = part.size, party = part.party,
      enqueued_at = '' }
    call('HSET', POOL .. 'ticket:' .. ticket.id, '#game_mode', game_mode, '#size', part.size, '#party', part.party)
    if part.party ~= '' then
      call('SET', POOL .. 'party:' .. part.party, ticket.id)
    end
  end
  if not has_member(ticket, player) then
    ticket.players[#ticket.players + 1] = player
    local others = ticket.attributes and string.sub(ticket.attributes, 1, -2) .. ',' or '{'
    ticket.attributes = others .. '"' .. player .. '":' .. part.attributes .. '}'
  end
  if waits_since ~= '' and (ticket.enqueued_at == '' or tonumber(waits_since) < tonumber(ticket.enqueued_at)) then
    ticket.enqueued_at = waits_since
  end
  if is_complete(ticket) then
    ticket.enqueued_at = ticket.enqueued_at == '' and int(now_us) or ticket.enqueued_at
    call('ZREM', POOL .. 'gathering', ticket.id)
  else
    call('ZADD', POOL .. 'gathering', 'LT', int(deadline_us), ticket.id)
  end
  ticket.players_json = '["' .. table.concat(ticket.players, '","') .. '"]'
  call('HSET', POOL .. 'ticket:' .. ticket.id, '#players', ticket.players_json, '#enqueued_at', ticket.enqueued_at,
    '#attributes', ticket.attributes)
  note_estimated_wait(ticket.id, part)
  return ticket
end

-- The party has not heard of this arrival yet. Once all are there, they wait.
local function tell_mates(ticket, arrived, now_us, redis_us)
  local seconds = seconds_to_gather(ticket.id, now_us)
  for _, player in ipairs(ticket.players) do
    local record = player ~= arrived and load_player(player)
    if record and record.ticket == ticket.id and record.state == GATHERING then
      local seq, player_key = next_seq(record.seq, redis_us), POOL .. 'player:' .. player
      if is_complete(ticket) then
        record.state, record.enqueued_at = QUEUED, ticket.enqueued_at
        call('HSET', player_key, 'state', QUEUED, 'seq', seq, 'queued_seq', seq, 'enqueued_at', ticket.enqueued_at)
        put_in_again(player, record)
        publish(player, waiting_frame(player, record, seq, now_us))
      else
        call('HSET', player_key, 'seq', seq)
        publish(player, party_frame(seq, ticket, seconds))
      end
    end
  end
end

-- Put a player that is in no ticket into that of its party, or into a new one, and write its record. `record` is as
-- load_player gives it, but for `state` and `ticket`, which it gets here.
local function enter(player, record, part, ticket, waits_since, deadline_us, now_us, redis_us)
  ticket = join_ticket(ticket, player, part, record.game_mode, record.seq, waits_since, now_us, deadline_us)
  record.ticket, record.state = ticket.id, GATHERING
  if is_complete(ticket) then
    record.state, record.enqueued_at = QUEUED, ticket.enqueued_at
  end
  call('HSET', POOL .. 'player:' .. player, 'state', record.state, 'game_mode', record.game_mode,
    'enqueued_at', record.enqueued_at, 'connection', record.connection, 'node', record.node, 'operation', record.operation,
    'resume_token', record.resume_token, 'seq', record.seq, 'claimed_seq', record.seq, 'ticket', ticket.id)
  if record.state == QUEUED then
    call('HSET', POOL .. 'player:' .. player, 'queued_seq', record.seq)
    put_in_again(player, record)
  end
  tell_mates(ticket, player, now_us, redis_us)
end

-- Write a ticket for a player alone.
local function write_ticket_alone(player, record, attributes, version)
  local ticket = { id = new_ticket_id(player, record.seq), version = version, enqueued_at = record.enqueued_at, party = '',
    players_json = '["' .. player .. '"]', attributes = '{"' .. player .. '":' .. attributes .. '}' }
  call('HSET', POOL .. 'ticket:' .. ticket.id, '#game_mode', record.game_mode, '#size', '1', '#party', '',
    '#players', ticket.players_json, '#enqueued_at', record.enqueued_at, '#version', version,
    '#attributes', ticket.attributes)
  return ticket
end

-- A new player without a party waits at once, in a ticket of its own. Its record and its ticket are written here; the caller
-- puts all such players of its call into the indexes (put_in), and tells the proposer of their tickets.
local function enter_alone(player, record, part)
  local ticket = write_ticket_alone(player, record, part.attributes, '1')
  note_estimated_wait(ticket.id, part)
  record.ticket, record.state = ticket.id, QUEUED
  call('HSET', POOL .. 'player:' .. player, 'state', QUEUED, 'game_mode', record.game_mode,
    'enqueued_at', record.enqueued_at, 'connection', record.connection, 'node', record.node, 'operation', record.operation,
    'resume_token', record.resume_token, 'seq', record.seq, 'queued_seq', record.seq, 'ticket', ticket.id)
  note_event('player.queued', player, record.game_mode, 'false', ticket.id)
  return ticket
end
