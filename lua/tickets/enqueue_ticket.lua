#!lua
-- enqueue_ticket: put players into tickets of one game mode whose matches are formed by rules: each into one of its own, or
-- into that of its party, which waits once all of it are there.
--
-- KEYS    clock
-- ARGV    game_mode node party_timeout_us closed; per player: player_id connection operation resume_token asked_us part
--         estimated_wait
-- WHERE   closed: 1 for a mode that was removed and takes nobody in, as a paused one; asked_us: see enqueue; part: the player's part of a ticket (lib/parties.lua); estimated_wait: of such a ticket, in
--         seconds; empty when unknown
-- RETURN  per player: code resume_token seq enqueued_at epoch frame
--         all but the code only when this connection owns the player; the frame is the `queued` or `party` that was
--         published, and seq its number; elsewhere: see enqueue
-- CODES   queued, gathering (its party is incomplete; both also when this very operation is repeated), held (see enqueue),
--         already_in_queue, elsewhere (see enqueue), queue_paused, party_mismatch (that party is of another mode or size, or complete), stale (see enqueue)
-- TOUCHES clock player:* left:* paused queue:* waiting:* nodes node_players:* ticket:* tickets:* party:* gathering feeds
--         feed:* modes:waiting events
-- SENDS   notifications:* node:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players claims queue membership parties

local game_mode, node, party_timeout_us = ARGV[1], ARGV[2], ARGV[3]
local now_us, redis_us = clock()
local paused = ARGV[4] == '1' or call('SISMEMBER', POOL .. 'paused', game_mode) == 1
local epoch = call('HGET', KEYS[1], 'epoch') or ''

local look, seen = any_known(5, 7), {}
local alone, tickets, changes = {}, {}, {} -- players without a party, and what is written of them behind the loop

local function decide(player, connection, operation, resume_token, asked_us, part_text, estimated_wait)
  local refused, seq, matched
  if look or seen[player] then
    refused, seq, matched = refusal(player, connection, operation, asked_us, epoch, now_us, redis_us)
  end
  seen[player] = true
  if refused then
    return refused
  end
  local part = read_part(part_text)
  part.estimated_wait = estimated_wait
  local ticket, mismatch = party_ticket(player, part, game_mode)
  if mismatch then
    return { 'party_mismatch' }
  end
  if paused and not ticket then -- a party that gathers may complete
    return { 'queue_paused' }
  end
  if matched then
    begin_anew(player, matched, connection)
  end
  local record = { game_mode = game_mode, enqueued_at = int(now_us), connection = connection, node = node,
    operation = operation, resume_token = resume_token, seq = next_seq(seq, redis_us) }
  local frame
  if part.party == '' then
    local own = enter_alone(player, record, part)
    alone[#alone + 1], tickets[#tickets + 1] = player, own.id
    changes[#changes + 1] = 'put'
    changes[#changes + 1] = ticket_text(own)
    frame = queued_frame(record.seq, game_mode, resume_token, false, own.id)
  else
    attend(node, player, now_us)
    enter(player, record, part, ticket, '', now_us + party_timeout_us, now_us, redis_us)
    frame = waiting_frame(player, record, record.seq, now_us)
  end
  publish(player, frame)
  return { record.state == QUEUED and 'queued' or 'gathering', resume_token, record.seq, record.enqueued_at, epoch, frame }
end

local reply = each_item(5, 7, decide)
put_in(alone, node, game_mode, now_us, tickets)
if #changes > 0 then
  write_feed(game_mode, changes)
end
write_events(redis_us)
return reply
