-- The end of a match before it is found. Needs events, membership and sessions.

-- Undo a match. `at_fault` maps a player to the reason it leaves with. With it go those who left while the match was being
-- placed, and the parties of both. The others go back in front of the queue.
local function cancel(session, reason, at_fault, redis_us)
  local records, leaving, left_by = {}, {}, {}
  local to_blame, requeued = {}, 0
  for _, player in ipairs(session.players) do
    local record = load_player(player)
    if record and record.loading_session_id == session.id then
      records[player] = record
      leaving[player] = at_fault[player] or has_left(player, record) and 'disconnected'
      if leaving[player] and leaving[player] ~= 'refused' then
        to_blame[#to_blame + 1] = player
      end
      if leaving[player] and record.ticket ~= '' then
        left_by[record.ticket] = left_by[record.ticket] or player
      end
    end
  end
  for _, player in ipairs(session.players) do
    local record = records[player]
    local leaver = record and left_by[record.ticket]
    if record and leaving[player] then
      drop(player, record, leaving[player], redis_us)
    elseif leaver then
      drop(player, record, 'party_left', redis_us, leaver)
    elseif record then
      local seq = next_seq(record.seq, redis_us)
      requeue(player, record, match_cancelled_frame(seq, session.id, reason), seq)
      requeued = requeued + 1
    end
    if leaver then
      forget_ticket(record.ticket, record.game_mode)
    end
  end
  forget_session(session)
  local blamed = table.concat(to_blame, ' ')
  note_ending('match', session.id, session.game_mode, reason, requeued, blamed)
  note_event('match.cancelled', session.id, session.game_mode, reason, requeued, blamed)
end

local function somebody_there(session)
  for _, player in ipairs(session.players) do
    local record = load_player(player)
    if record and not has_left(player, record) then
      return true
    end
  end
  return false
end
