#!lua flags=allow-oom
-- sweep: set the pool's clock for the sweep that follows in the same round trip. Run by every node.
-- When nobody swept for more than twice the period (Redis paused or restarted, every node down), nobody could renew
-- a lease or resume either: the pool's clock stands still for that gap. The sweep goes on by the time of the last one,
-- when nothing has come due since: it ends at most what that one had left over.
-- A new run id, or a pool without an epoch, begins a new epoch: Redis may have lost data, so every session looks whether
-- its player's record is still what its client was told.
--
-- KEYS    clock
-- ARGV    period_us run_id new_epoch
-- WHERE   run_id: of Redis; empty where the node may not read it
-- RETURN  act gap_us epoch redis_us
--         act is 0 when the clock had stood still; redis_us is Redis' own time, which resume tokens tell
-- CODES   none
-- TOUCHES clock
-- SENDS   none
-- INCLUDE pool

local period_us, run_id = tonumber(ARGV[1]), ARGV[2]
local _, redis_us = clock()
local f = call('HMGET', KEYS[1], 'swept_us', 'run_id', 'epoch')
local gap_us = redis_us - (tonumber(f[1]) or redis_us)
local restarted = f[2] and run_id ~= '' and f[2] ~= run_id
call('HSET', KEYS[1], 'swept_us', int(redis_us))
if run_id ~= '' then
  call('HSET', KEYS[1], 'run_id', run_id)
end
local epoch = f[3]
if not epoch then
  call('HSET', KEYS[1], 'emptied_us', int(redis_us))
end
if not epoch or restarted then
  epoch = ARGV[3]
  call('HSET', KEYS[1], 'epoch', epoch)
end
if gap_us > 2 * period_us or restarted then
  call('HINCRBY', KEYS[1], 'stopped_us', int(math.max(0, gap_us)))
  return { 0, gap_us, epoch, redis_us }
end
return { 1, 0, epoch, redis_us }
