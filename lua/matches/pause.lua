#!lua flags=allow-oom
-- pause: an operator pauses a game mode, or lets it go on. Doing so twice changes nothing.
--
-- KEYS    clock
-- ARGV    game_mode paused by
-- WHERE   paused: 1 or 0; by: the label of the operator's key
-- RETURN  changed
--         0 when the mode was so already
-- CODES   none
-- TOUCHES clock paused events
-- SENDS   none
-- INCLUDE pool events

local game_mode, paused = ARGV[1], ARGV[2] == '1'
local _, redis_us = clock()
local changed = call(paused and 'SADD' or 'SREM', POOL .. 'paused', game_mode)
if changed == 1 then
  note_event(paused and 'queue.paused' or 'queue.resumed', game_mode, ARGV[3])
end
write_events(redis_us)
return changed
