#!lua flags=no-writes
-- catch_up: pub/sub delivers at most once, so sessions re-read what it may have lost, in order.
--
-- KEYS    clock
-- ARGV    per player: player_id connection resume_token claimed_seq seq
-- WHERE   claimed_seq: of the first frame of this journey on this connection
-- RETURN  per player: code frame...
--         the frames of this player's record that are newer than `seq`
-- CODES   ok (also when the player has left: the frame says why), taken_over (another connection owns the player),
--         behind (the record is missing, nobody's, another journey's, or older than `seq` or than this connection's
--         claim to the player: see reassert)
-- TOUCHES clock player:* left:* loading:* match:* ticket:* gathering
-- SENDS   none
-- INCLUDE pool states frames tickets players sessions missed

local now_us = clock()

local function decide(player, connection, resume_token, claimed_seq, seq_text)
  local seq = tonumber(seq_text)
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
    local nobodys = record.connection == ''
    return { (nobodys or tonumber(claimed_seq) > claim_of(player)) and 'behind' or 'taken_over' }
  end
  if record.resume_token ~= resume_token then
    return { 'behind' }
  end
  if tonumber(record.seq) <= seq then
    return { tonumber(record.seq) < seq and 'behind' or 'ok' }
  end
  return { 'ok', unpack(frames_since(player, record, seq, now_us)) }
end

return each_item(1, 5, decide)
