-- What a session has missed: the frames of its player's state, once more. Needs frames, sessions, states and
-- tickets.

-- For a player that missed it, or is back: with the seconds that are left.
local function late_start_loading_frame(seq, loading_session_id, now_us)
  local session = load_session(loading_session_id)
  local deadline = call('HGET', POOL .. 'loading:' .. loading_session_id, '#deadline')
  return start_loading_frame(seq, start_loading_tail(session, (deadline - now_us) / 1000000))
end

-- For a player whose match has been found.
local function late_match_found_frame(player, seq, loading_session_id)
  local f = call('HMGET', POOL .. 'match:' .. loading_session_id, '#tail', player)
  return match_found_frame(seq, f[1], f[2] or nil)
end

-- The frames of a player's record that are newer than `seq`, in order: what its session has missed.
local function frames_since(player, record, seq, now_us)
  local f = call('HMGET', POOL .. 'player:' .. player, 'cancelled_seq', 'cancelled', 'queued_seq', 'requeued')
  local frames = {}
  if f[1] and tonumber(f[1]) > seq then
    frames[#frames + 1] = f[2]
  end
  if f[3] and tonumber(f[3]) > seq then
    frames[#frames + 1] = queued_frame(f[3], record.game_mode, record.resume_token, f[4] == 'true', record.ticket)
  end
  if record.state == QUEUED or tonumber(record.seq) <= seq then
    return frames
  end
  if record.state == GATHERING then
    frames[#frames + 1] = waiting_frame(player, record, record.seq, now_us)
  elseif record.state == MATCHED then
    frames[#frames + 1] = late_match_found_frame(player, record.seq, record.loading_session_id)
  else
    frames[#frames + 1] = late_start_loading_frame(record.seq, record.loading_session_id, now_us)
  end
  return frames
end
