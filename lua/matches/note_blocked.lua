#!lua flags=allow-oom
-- note_blocked: players of a game mode wait and no dedicated server has room for them. Whichever node asks first in each
-- period is the one that says so in its log; the others learn how long that holds.
--
-- KEYS    clock
-- ARGV    game_mode period_us
-- RETURN  left_us
--         0: this node says it; else the time until it is to be said again
-- CODES   none
-- TOUCHES clock modes:blocked
-- SENDS   none
-- INCLUDE pool

local game_mode, period_us = ARGV[1], tonumber(ARGV[2])
local now_us = clock()
local ago_us = now_us - tonumber(call('HGET', POOL .. 'modes:blocked', game_mode) or -period_us)
if ago_us >= 0 and ago_us < period_us then
  return { period_us - ago_us }
end
call('HSET', POOL .. 'modes:blocked', game_mode, int(now_us))
call('PEXPIRE', POOL .. 'modes:blocked', int(period_us / 1000)) -- by then all that it holds is too old to count
return { 0 }
