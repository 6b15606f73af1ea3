-- Claims: whether an enqueue gets its player. Needs frames, players, states and tickets.

-- One look at all of them spares each its own: almost always none has a record or a tombstone.
local function any_known(first, width)
  local keys = {}
  for i = first, #ARGV, width do
    keys[#keys + 1] = POOL .. 'player:' .. ARGV[i]
    keys[#keys + 1] = POOL .. 'left:' .. ARGV[i]
  end
  return #keys > 0 and call('EXISTS', unpack(keys)) > 0
end

-- What the connection has, that already owns the player: its place in the queue or in its party.
local function place_of_player(code, player, record, epoch, now_us)
  local seq = record.seq
  if record.state ~= GATHERING then
    record.state, seq = QUEUED, call('HGET', POOL .. 'player:' .. player, 'queued_seq')
  end
  return { code or record.state, record.resume_token, seq, record.enqueued_at, epoch,
    waiting_frame(player, record, seq, now_us) }
end

-- What refuses the claim of a player that may have a record, or may have left one. If nothing does: nil, the player's last
-- `seq`, and its record if its match has been found.
local function refusal(player, connection, operation, asked_us, epoch, now_us, redis_us)
  local record = load_player(player)
  if not record then
    local left = call('HMGET', POOL .. 'left:' .. player, 'connection', 'operation', 'seq', 'claimed_seq')
    if left[1] == connection then
      if tonumber(left[2]) >= tonumber(operation) then
        return { 'stale' }
      end
    elseif overtaken(tonumber(asked_us), tonumber(left[4]), redis_us) then -- not the leave: who left may come at once
      return { 'stale' }
    end
    return nil, left[3]
  end
  -- A node that was thought dead has lost the player meanwhile. Its session takes the player back once it has this answer
  -- (reassert). This call must not: it may run late, when that session has gone (docs/races.md, 11).
  local lost = record.connection == '' and call('HGET', POOL .. 'player:' .. player, 'lost') == connection
  local own = lost or record.connection == connection
  if own and tonumber(record.operation) >= tonumber(operation) then
    return place_of_player(lost and 'held' or nil, player, record, epoch, now_us)
  end
  if record.state ~= MATCHED then
    return own and place_of_player('already_in_queue', player, record, epoch, now_us)
      or { 'elsewhere', record.state, record.game_mode, record.resume_token }
  end
  if not own and overtaken(tonumber(asked_us), claim_of(player), redis_us) then
    return { 'stale' }
  end
  return nil, record.seq, record
end

-- After match_found an enqueue is a new journey, and this connection owns it.
local function begin_anew(player, record, connection)
  if record.connection ~= '' and record.connection ~= connection then
    tell_taken_over(player, record)
  end
  call('DEL', POOL .. 'player:' .. player)
end
