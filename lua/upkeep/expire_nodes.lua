#!lua flags=allow-oom
-- expire_nodes: a node's lease ran out: its players' links are broken, and their grace begins.
--
-- KEYS    clock
-- ARGV    limit grace_us; per mode: game_mode grace_us
-- WHERE   limit: of players, in all these nodes together; modes: those that set a grace of their own
-- RETURN  held (node info)...
--         the nodes named had no lease left; more of their players may remain for the next sweep; info: what it said of
--         itself, or nothing
-- CODES   none
-- TOUCHES clock nodes nodes:info node_players:* player:* queue:* held tickets:* feeds feed:* events
-- SENDS   none
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership

local budget, grace_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local now_us, redis_us = clock()
local reply, own_until_us = { 0 }, {}
for i = 3, #ARGV, 2 do
  own_until_us[ARGV[i]] = now_us + ARGV[i + 1]
end

local function expire(node)
  local index = POOL .. 'node_players:' .. node
  local info = call('HGET', POOL .. 'nodes:info', node) or ''
  if call('ZSCORE', POOL .. 'nodes', node) ~= '0' then -- else an earlier call has found it dead
    note_event('node.lost', node)
  end
  for _, player in ipairs(call('SRANDMEMBER', index, budget)) do
    budget = budget - 1
    if hold_if_on(node, player, now_us + grace_us, own_until_us) then
      reply[1] = reply[1] + 1
    end
  end
  if call('EXISTS', index) == 0 then
    call('ZREM', POOL .. 'nodes', node)
    call('HDEL', POOL .. 'nodes:info', node)
  else -- so that it learns of it, should it renew before the rest of its players are held
    call('ZADD', POOL .. 'nodes', 0, node)
  end
  reply[#reply + 1] = node
  reply[#reply + 1] = info
end

local due = call('ZRANGEBYSCORE', POOL .. 'nodes', int(-now_us), int(now_us)) -- beyond: may still take a lease
each_listed(due, expire)
write_events(redis_us)
return reply
