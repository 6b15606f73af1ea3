#!lua flags=allow-oom
-- renew: a node is alive and knows these game modes; or it still works on these allocations.
--
-- KEYS    clock
-- ARGV    node lease_us game_modes info; per allocation: game_mode loading_session_id
-- WHERE   game_modes: separated by spaces; info: what the node says of itself, as JSON, empty from an allocator
-- RETURN  known
--         known is 0 when the node was declared dead, or is new: it must re-assert its players
-- CODES   none
-- TOUCHES clock nodes nodes:info modes sessions:*
-- SENDS   none
-- INCLUDE pool

local node, lease_us = ARGV[1], tonumber(ARGV[2])
local until_us = int(clock() + lease_us)
for i = 5, #ARGV, 2 do -- GT: one that waits for a slot by now has no lease to run out
  call('ZADD', POOL .. 'sessions:allocating:' .. ARGV[i], 'XX', 'GT', until_us, ARGV[i + 1])
end
for game_mode in string.gmatch(ARGV[3], '%S+') do
  gather('SADD', POOL .. 'modes', game_mode)
end
write_gathered()
if ARGV[4] == '' then -- an allocator's call: it must not take from the janitor the news that the node was thought dead
  return { 1 }
end
local lease = tonumber(call('ZSCORE', POOL .. 'nodes', node) or 0)
call('ZADD', POOL .. 'nodes', until_us, node)
call('HSET', POOL .. 'nodes:info', node, ARGV[4])
return { lease > 0 and 1 or 0 }
