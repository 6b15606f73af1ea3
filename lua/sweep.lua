#!lua flags=allow-oom
-- sweep: may a janitor act on deadlines now? Run before every sweep, by every node.
-- When nobody swept for more than twice the period (Redis paused or restarted, every node down), nobody could renew
-- a lease or resume either: the pool's clock stands still for that gap, and the sweep acts the next time.
--
-- KEYS    clock
-- ARGV    period_us run_id
-- RETURN  act gap_us
--         act is 1 when deadlines may be acted on
-- CODES   none
-- TOUCHES clock
-- SENDS   none
-- INCLUDE pool

local period_us, run_id = tonumber(ARGV[1]), ARGV[2]
local _, redis_us = clock()
local f = call('HMGET', KEYS[1], 'swept_us', 'run_id')
local gap_us = redis_us - (tonumber(f[1]) or redis_us)
call('HSET', KEYS[1], 'swept_us', int(redis_us), 'run_id', run_id)
if gap_us > 2 * period_us or (f[2] and f[2] ~= run_id) then
  call('HINCRBY', KEYS[1], 'stopped_us', int(math.max(0, gap_us)))
  return { 0, int(gap_us) }
end
return { 1, 0 }
