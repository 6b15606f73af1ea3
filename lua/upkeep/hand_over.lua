#!lua flags=allow-oom
-- hand_over: a node stops while it works on these allocations. Their leases end now, and another node adopts them at once.
--
-- KEYS    clock
-- ARGV    node; per allocation: game_mode loading_session_id
-- RETURN  handed_over
-- CODES   none
-- TOUCHES clock loading:* sessions:*
-- SENDS   none
-- INCLUDE pool

local node, now_us = ARGV[1], int(clock())
local handed_over = 0
for i = 2, #ARGV, 2 do
  local session = call('HMGET', POOL .. 'loading:' .. ARGV[i + 1], '#node', '#server')
  if session[1] == node and session[2] ~= '' then -- else another has it, or it waits for a slot and has no lease
    call('ZADD', POOL .. 'sessions:allocating:' .. ARGV[i], 'XX', now_us, ARGV[i + 1])
    handed_over = handed_over + 1
  end
end
return { handed_over }
