#!lua flags=no-writes
-- queues: one atomic look at game modes, for operators and metrics.
--
-- KEYS    clock
-- ARGV    per mode: game_mode
-- RETURN  per mode: waiting held oldest_ms loading_sessions allocating_sessions unplaced_sessions matches_last_minute
--         paused
--         waiting counts players that can be matched, held those within their grace; oldest_ms is -1 with nobody there
-- CODES   none
-- TOUCHES clock queue:* waiting:* sessions:* matched:* paused
-- SENDS   none
-- INCLUDE pool

local now_us = clock()
local reply = {}
for i = 1, #ARGV do
  local mode = ARGV[i]
  local waiting = call('SCARD', POOL .. 'queue:' .. mode) + call('ZCARD', POOL .. 'queue:' .. mode .. ':front')
  local oldest = call('ZRANGE', POOL .. 'waiting:' .. mode, 0, 0, 'WITHSCORES')
  reply[#reply + 1] = {
    waiting,
    call('ZCARD', POOL .. 'waiting:' .. mode) - waiting,
    oldest[2] and math.max(0, math.floor((now_us - oldest[2]) / 1000)) or -1,
    call('ZCARD', POOL .. 'sessions:loading:' .. mode),
    call('ZCARD', POOL .. 'sessions:allocating:' .. mode),
    call('ZCARD', POOL .. 'sessions:unplaced:' .. mode),
    call('ZCOUNT', POOL .. 'matched:' .. mode, int(now_us - 60000000), '+inf'),
    call('SISMEMBER', POOL .. 'paused', mode),
  }
end
return reply
