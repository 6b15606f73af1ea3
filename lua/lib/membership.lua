-- Membership: where a player stands, in every index that names it. All scripts go through this part and queue.lua, which
-- has what the busiest scripts need. Needs events, frames, offers, players, queue, states and tickets.
--
--   state       indexes that name the player
--   gathering   node_players, or held
--   queued      waiting; while its link holds node_players and queue or queue:front, else held
--   loading     node_players, or held
--   allocating  node_players, or held, or none once the player has left
--   matched     none
--
-- A player with a ticket is in no queue: its ticket stands in `tickets` while all of its members are queued and have a link.

-- What a call ends, for the log of the node that asked: one text for each player that leaves and each match that is
-- cancelled, read in match_server/store/endings.py.
local endings = {}

local function note_ending(...)
  endings[#endings + 1] = table.concat({ ... }, '\n')
end

-- A script's reply, with that list behind it where there is one.
local function with_endings(reply)
  if #endings > 0 then
    reply[#reply + 1] = endings
  end
  return reply
end

-- In front, with the original time of waiting: ahead of everyone who came later.
local function put_in_front(player, record)
  if record.ticket ~= '' then
    offer_ticket(record.ticket)
  else
    call('ZADD', POOL .. 'queue:' .. record.game_mode .. ':front', record.enqueued_at, player)
    call('SADD', POOL .. 'modes:waiting', record.game_mode)
  end
end

-- Waiting again, in front; out of reach while no connection has the player. `record.requeued` says that it had waited before.
local function put_in_again(player, record)
  call('ZADD', POOL .. 'waiting:' .. record.game_mode, record.enqueued_at, player)
  if record.connection ~= '' then
    put_in_front(player, record)
  end
  note_event('player.queued', player, record.game_mode, record.requeued and 'true' or 'false', record.ticket)
end

-- Out of the matcher's reach, for a while (`held`) or for good (`removed`). The player still waits.
local function withdraw(player, record, change)
  if record.ticket ~= '' then
    recall_ticket(record.ticket, record.game_mode, change)
    return
  end
  call('SREM', POOL .. 'queue:' .. record.game_mode, player)
  call('ZREM', POOL .. 'queue:' .. record.game_mode .. ':front', player)
end

local function take_out(player, record)
  withdraw(player, record, 'removed')
  call('ZREM', POOL .. 'waiting:' .. record.game_mode, player)
end

local function is_held(player)
  return call('ZSCORE', POOL .. 'held', player)
end

local function begin_hold(player, until_us)
  call('ZADD', POOL .. 'held', int(until_us), player)
end

-- Whether the player has left its match for good while that was being placed.
local function has_left(player, record)
  return record.connection == '' and not is_held(player)
end

-- The player's connection is gone. Its node no longer attends to it.
local function disconnect(player, record)
  call('HSET', POOL .. 'player:' .. player, 'connection', '', 'lost', record.connection)
  call('SREM', POOL .. 'node_players:' .. record.node, player)
end

-- Keep a player whose link broke, out of the matcher's reach, until it resumes or its grace ends.
local function hold(player, record, until_us)
  if record.state == QUEUED then
    withdraw(player, record, 'held')
  end
  disconnect(player, record)
  begin_hold(player, until_us)
  note_event('player.held', player, record.game_mode, record.state, record.loading_session_id)
end

-- Hold a player if it is still attributed to this node, which no longer attends to it; in the game modes of `own_until_us`
-- until then.
local function hold_if_on(node, player, until_us, own_until_us)
  local record = load_player(player)
  local is_on = record and record.node == node and record.connection ~= '' and record.state ~= MATCHED
  if is_on then
    hold(player, record, own_until_us and own_until_us[record.game_mode] or until_us)
  else
    call('SREM', POOL .. 'node_players:' .. node, player)
  end
  return is_on
end

-- The player is on this node from now on.
local function attend(node, player, now_us)
  call('SADD', POOL .. 'node_players:' .. node, player)
  note_node(node, now_us)
end

-- A connection on this node takes the player over. A held player is within reach again.
local function take_over(player, record, node, now_us)
  if record.state == MATCHED then
    return
  end
  call('SREM', POOL .. 'node_players:' .. record.node, player)
  attend(node, player, now_us)
  if end_hold(player) then
    note_event('player.resumed', player, record.game_mode, record.state, record.loading_session_id)
    if record.state == QUEUED then
      put_in_front(player, record)
    end
  end
end

-- Delete the record and every index entry. The caller writes what comes instead.
local function remove(player, record)
  if record.state == QUEUED then
    take_out(player, record)
  end
  end_hold(player)
  call('SREM', POOL .. 'node_players:' .. record.node, player)
  call('DEL', POOL .. 'player:' .. player)
end

-- The player leaves for good; `mate` is the member of its party that left, where that is why. A tombstone stays for a
-- minute: it answers a repeated request, refuses one that was overtaken on its way, and repeats the last frame to a session
-- that missed it.
local function drop(player, record, reason, redis_us, mate)
  local seq = next_seq(record.seq, redis_us)
  local frame = dequeued_frame(seq, reason, mate)
  local tombstone = POOL .. 'left:' .. player
  local claimed_seq = claim_of(player) or 0
  remove(player, record)
  call('HSET', tombstone, 'connection', record.connection, 'operation', record.operation, 'seq', seq, 'frame', frame,
    'loading_session_id', record.loading_session_id, 'claimed_seq', int(claimed_seq))
  call('EXPIRE', tombstone, 60)
  publish(player, frame)
  note_ending('player', player, record.game_mode or '', reason, record.loading_session_id, mate or '')
  note_event('player.dequeued', player, record.game_mode or '', reason, record.loading_session_id, mate or '',
    reason == 'operator' and changed_by or '')
end

-- All members leave for good; `leaver` has left already, where that is why.
local function drop_members(ticket, reason, redis_us, leaver)
  for _, player in ipairs(ticket.players) do
    local record = player ~= leaver and load_player(player)
    if record and record.ticket == ticket.id then
      drop(player, record, reason, redis_us, leaver)
    end
  end
  forget_ticket(ticket.id, ticket.game_mode)
end

-- A player that waits leaves for good, and its party with it. Returns how many others that were.
local function drop_with_party(player, record, reason, redis_us)
  local ticket = record.ticket ~= '' and load_ticket(record.ticket)
  drop(player, record, reason, redis_us)
  if not ticket then
    return 0
  end
  drop_members(ticket, 'party_left', redis_us, player)
  return #ticket.players - 1
end

-- A match was cancelled: back into the queue in front. A held player stays out of reach.
local function requeue(player, record, cancelled, cancelled_seq)
  local seq = int(cancelled_seq + 1)
  local player_key = POOL .. 'player:' .. player
  call('HSETNX', player_key, 'claimed_seq', call('HGET', player_key, 'queued_seq')) -- which claim_of goes by
  call('HSET', player_key, 'state', QUEUED, 'seq', seq, 'queued_seq', seq,
    'requeued', 'true', 'cancelled', cancelled, 'cancelled_seq', cancelled_seq, 'loading_session_id', '')
  record.requeued = true
  put_in_again(player, record)
  publish(player, cancelled)
  publish(player, queued_frame(seq, record.game_mode, record.resume_token, true, record.ticket))
end
