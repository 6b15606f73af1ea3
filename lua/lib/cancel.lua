-- The end of a match that does not come about. Needs queue.lua and sessions.lua.

-- Undo a match. `at_fault` maps a player to the reason it leaves with; the others go back in front of the queue,
-- but for those who left during the allocation, whom nobody waits for any more.
local function cancel(session, reason, at_fault, redis_us)
  for _, player in ipairs(session.players) do
    local record = load_player(player)
    if record and record.loading_session_id == session.id then
      local gone = record.connection == '' and not call('ZSCORE', POOL .. 'held', player)
      if at_fault[player] or gone then
        call('ZREM', POOL .. 'held', player)
        call('SREM', POOL .. 'node_players:' .. record.node, player)
        bury(player, record, at_fault[player] or 'disconnected', redis_us)
      else
        local seq = next_seq(record.seq, redis_us)
        local cancelled = '{"type":"match_cancelled","seq":' .. seq .. ',"loading_session_id":"' .. session.id
          .. '","reason":"' .. reason .. '","requeued":true}'
        requeue(player, record, cancelled, seq)
      end
    end
  end
  forget_session(session)
end

local function somebody_there(session)
  for _, player in ipairs(session.players) do
    local record = load_player(player)
    if record and (record.connection ~= '' or call('ZSCORE', POOL .. 'held', player)) then
      return true
    end
  end
  return false
end
