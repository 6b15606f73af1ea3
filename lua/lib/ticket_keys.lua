-- The keys of a ticket that is over: its players have their match, or leave. Its party's id is free again.
local function delete_ticket(ticket_id)
  local party = call('HGET', POOL .. 'ticket:' .. ticket_id, '#party')
  if party and party ~= '' then
    call('ZREM', POOL .. 'gathering', ticket_id)
    if call('GET', POOL .. 'party:' .. party) == ticket_id then
      call('DEL', POOL .. 'party:' .. party)
    end
  end
  call('DEL', POOL .. 'ticket:' .. ticket_id)
end
