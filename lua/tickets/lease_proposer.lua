#!lua flags=allow-oom
-- lease_proposer: take or keep the lease that makes one node the usual proposer of a game mode. It saves work, no more:
-- form.lua keeps every invariant whoever proposes.
--
-- KEYS    clock
-- ARGV    game_mode node lease_us rules_version
-- WHERE   rules_version: of this node's rules; where the pool has others, the node gets no lease and loses its own
-- RETURN  node fence without_ticket epoch rules_differ
--         the holder, empty for nobody, and its fencing number, which grows with each change of the holder; without_ticket: how many wait in
--         the mode's queue, for which they came while it was drawn at random (give_tickets)
-- CODES   none
-- TOUCHES clock proposer:* queue:* rules
-- SENDS   none
-- INCLUDE pool

local game_mode, node, lease_us, rules_version = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = POOL .. 'proposer:' .. game_mode
local now_us, redis_us = clock()
local epoch = call('HGET', KEYS[1], 'epoch') or ''
local f = call('HMGET', key, 'node', 'until', 'fence')
local rules = call('HMGET', POOL .. 'rules', '#revision', game_mode)
local rules_differ = rules[1] and rules[2] ~= rules_version
if f[1] and f[1] ~= node and tonumber(f[2]) > now_us then
  return { f[1], f[3], 0, epoch, rules_differ and 1 or 0 }
end
if rules_differ then
  if f[1] == node then
    call('HSET', key, 'until', '0')
  end
  return { '', '0', 0, epoch, 1 }
end
local fence = f[1] == node and tonumber(f[2]) > now_us and f[3] or next_seq(f[3], redis_us)
call('HSET', key, 'node', node, 'until', int(now_us + lease_us), 'fence', fence)
call('EXPIRE', key, 600)
local queue = POOL .. 'queue:' .. game_mode
return { node, fence, call('SCARD', queue) + call('ZCARD', queue .. ':front'), epoch, 0 }
