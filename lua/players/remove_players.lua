#!lua flags=allow-oom
-- remove_players: an operator takes players out of their queue, or out of a match that still loads. Their parties leave too.
--
-- KEYS    clock
-- ARGV    by; per player: player_id
-- WHERE   by: the label of the operator's key
-- RETURN  per player: code state loading_session_id
-- CODES   ok, not_in_queue, too_late (the session is being placed, or found)
-- TOUCHES clock player:* left:* queue:* waiting:* held node_players:* loading:* sessions:* ticket:* tickets:* party:*
--         gathering feeds feed:* modes:waiting events
-- SENDS   notifications:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership sessions cancel

local _, redis_us = clock()
changed_by = ARGV[1]

local function decide(player)
  local record = load_player(player)
  if not record then
    return { 'not_in_queue', '', '' }
  elseif record.state == LOADING then
    cancel(load_session(record.loading_session_id), 'player_left', { [player] = 'operator' }, redis_us)
  elseif record.state == QUEUED or record.state == GATHERING then
    drop_with_party(player, record, 'operator', redis_us)
  else
    return { 'too_late', record.state, record.loading_session_id }
  end
  return { 'ok', record.state, record.loading_session_id }
end

local reply = each_item(2, 1, decide)
write_events(redis_us)
return with_endings(reply)
