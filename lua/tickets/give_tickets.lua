#!lua flags=allow-oom
-- give_tickets: a mode that was drawn at random has rules now. Whoever still waits in its queue gets a ticket, and keeps
-- its time of waiting.
--
-- KEYS    clock
-- ARGV    game_mode attributes limit
-- WHERE   attributes: those of each of these players, as JSON: they have brought none; limit: of players
-- RETURN  given
-- CODES   none
-- TOUCHES clock player:* queue:* ticket:* tickets:* feeds feed:*
-- SENDS   none
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership parties

local game_mode, attributes, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local queue = POOL .. 'queue:' .. game_mode
local given = 0

local function give(player)
  local record = load_player(player)
  withdraw(player, { game_mode = game_mode, ticket = '' })
  if record and record.state == QUEUED and record.game_mode == game_mode and record.ticket == '' then
    local ticket = write_ticket_alone(player, record, attributes, '0')
    call('HSET', POOL .. 'player:' .. player, 'ticket', ticket.id)
    offer_ticket(ticket.id)
    given = given + 1
  end
end

local first = call('ZRANGE', queue .. ':front', 0, limit - 1)
each_listed(first, give)
each_listed(call('SRANDMEMBER', queue, math.max(0, limit - #first)), give)
return given
