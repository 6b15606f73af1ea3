#!lua flags=allow-oom
-- expire_players: drop players whose grace after a broken link is over, those who waited past the queue's limit, and
-- parties that did not gather in time.
--
-- KEYS    clock
-- ARGV    limit queue_timeout_us; per mode: game_mode queue_timeout_us
-- WHERE   limit: of players, those of cancelled sessions included; queue_timeout_us: 0 for no limit; modes: those that set
--         one of their own
-- RETURN  grace_ended cancelled queue_timeouts party_timeouts more
--         cancelled counts the loading sessions that the dropped players were in
-- CODES   none
-- TOUCHES clock modes player:* left:* queue:* waiting:* held node_players:* loading:* sessions:* ticket:*
--         tickets:* party:* gathering feeds feed:* modes:waiting events
-- SENDS   notifications:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership sessions cancel

local budget, queue_timeout_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local now_us, redis_us = clock()
local grace_ended, cancelled, queue_timeouts, party_timeouts = 0, 0, 0, 0

local function due(key, until_us)
  return call('ZRANGEBYSCORE', key, '-inf', int(until_us), 'LIMIT', 0, math.max(0, budget))
end

local function end_grace(player)
  local record = load_player(player)
  if record and (record.state == QUEUED or record.state == GATHERING) then
    budget = budget - drop_with_party(player, record, 'disconnected', redis_us)
  elseif record and record.state == LOADING then
    local session = load_session(record.loading_session_id)
    cancel(session, 'player_left', { [player] = 'disconnected' }, redis_us)
    cancelled = cancelled + 1
    budget = budget - #session.players
  end -- while allocating the match goes on; nobody waits for this player any more
  end_hold(player)
end

each_listed(due(POOL .. 'held', now_us), function(player)
  if budget > 0 then
    end_grace(player)
    grace_ended = grace_ended + 1
    budget = budget - 1
  end
end)
each_listed(due(POOL .. 'gathering', now_us), function(ticket_id)
  local ticket = load_ticket(ticket_id)
  if not ticket then
    call('ZREM', POOL .. 'gathering', ticket_id)
  elseif budget > 0 then
    drop_members(ticket, 'party_timeout', redis_us)
    budget = budget - #ticket.players
    party_timeouts = party_timeouts + #ticket.players
  end
end)

local function end_long_waits(game_mode, timeout_us)
  each_listed(due(POOL .. 'waiting:' .. game_mode, now_us - timeout_us), function(player)
    local record = load_player(player)
    local ticket = record and record.ticket ~= '' and load_ticket(record.ticket)
    if ticket then
      drop_members(ticket, 'queue_timeout', redis_us)
    elseif record then
      drop(player, record, 'queue_timeout', redis_us)
    else -- an entry that nobody owns must not stop every sweep from here on
      take_out(player, { game_mode = game_mode, ticket = '' })
    end
    queue_timeouts = queue_timeouts + 1
    budget = budget - 1
  end)
end

local has_own = {}
for i = 3, #ARGV, 2 do
  has_own[ARGV[i]] = true
  if tonumber(ARGV[i + 1]) > 0 then
    end_long_waits(ARGV[i], tonumber(ARGV[i + 1]))
  end
end
if queue_timeout_us > 0 then
  for _, game_mode in ipairs(call('SMEMBERS', POOL .. 'modes')) do
    if not has_own[game_mode] then
      end_long_waits(game_mode, queue_timeout_us)
    end
  end
end
write_events(redis_us)
return with_endings({ grace_ended, cancelled, queue_timeouts, party_timeouts, budget > 0 and 0 or 1 })
