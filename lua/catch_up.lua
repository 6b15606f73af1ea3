#!lua flags=no-writes
-- catch_up: pub/sub delivers at most once, so sessions re-read what it may have lost, in order.
--
-- KEYS    clock
-- ARGV    per player: player_id connection seq
-- RETURN  per player: code frame...
--         the frames of this player's record that are newer than `seq`
-- CODES   ok (also when the player has left: the frame says why), taken_over (another connection owns the player),
--         behind (the record is missing, nobody's, or older than `seq`: see reassert)
-- TOUCHES clock player:* left:* loading:* match:*
-- SENDS   none
-- INCLUDE pool players servers sessions

local now_us = clock()
local reply = {}

local function decide(player, connection, seq)
  local record = load_player(player)
  if not record then
    local tomb = call('HMGET', POOL .. 'left:' .. player, 'connection', 'seq', 'frame')
    if not tomb[2] or tonumber(tomb[2]) <= seq then
      return { 'behind' }
    end
    if tomb[1] ~= connection and tomb[1] ~= '' then
      return { 'taken_over' }
    end
    return { 'ok', tomb[3] }
  end
  if record.connection ~= connection then
    return { record.connection == '' and 'behind' or 'taken_over' }
  end
  if tonumber(record.seq) <= seq then
    return { tonumber(record.seq) < seq and 'behind' or 'ok' }
  end
  local f = call('HMGET', POOL .. 'player:' .. player, 'cancelled_seq', 'cancelled', 'queued_seq', 'requeued',
    'loading_seq', 'found_seq')
  local answer = { 'ok' }
  if f[1] and tonumber(f[1]) > seq then
    answer[#answer + 1] = f[2]
  end
  if tonumber(f[3]) > seq then
    answer[#answer + 1] = queued_frame(f[3], record.game_mode, record.resume_token, f[4] == 'true')
  end
  local loading = record.state == 'loading' or record.state == 'allocating'
  if loading and tonumber(f[5]) > seq then
    local session = load_session(record.loading_session_id)
    answer[#answer + 1] = start_loading_frame(f[5], start_loading_tail(session, (session.deadline - now_us) / 1000000))
  elseif record.state == 'matched' and tonumber(f[6]) > seq then
    answer[#answer + 1] = match_found_frame(f[6], call('GET', POOL .. 'match:' .. record.loading_session_id))
  end
  return answer
end

for i = 1, #ARGV, 3 do
  reply[#reply + 1] = decide(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]))
end
return reply
