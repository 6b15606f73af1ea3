#!lua flags=no-writes
-- queues: one atomic look at game modes, for operators and metrics.
--
-- KEYS    clock
-- ARGV    per mode: game_mode
-- RETURN  per mode: waiting held oldest_ms loading_sessions allocating_sessions unplaced_sessions matches_last_minute
--         paused free_slots tickets wait_p50_ms wait_p90_ms wait_p99_ms
--         waiting counts players that can be matched, held those within their grace; oldest_ms is -1 with nobody there;
--         free_slots are those of servers that take the mode; tickets are those that can be matched, where rules form the
--         matches; the percentiles are of all who wait, -1 with nobody there
-- CODES   none
-- TOUCHES clock waiting:* tickets:* held sessions:* matched:* paused servers:free
-- SENDS   none
-- INCLUDE pool slots placing

local now_us = clock()
local reply = {}

local function free_for(game_mode)
  local free = 0
  for _, class in ipairs(classes()) do
    free = free + (serves(class, game_mode) and class.free or 0)
  end
  return free
end

-- So many milliseconds, or less, that share of all who wait has waited.
local function wait_ms(mode, share, count)
  if count == 0 then
    return -1
  end
  local rank = math.floor((1 - share) * (count - 1))
  local found = call('ZRANGE', POOL .. 'waiting:' .. mode, rank, rank, 'WITHSCORES')
  return math.max(0, math.floor((now_us - found[2]) / 1000))
end

for i = 1, #ARGV do
  local mode = ARGV[i]
  local count = call('ZCARD', POOL .. 'waiting:' .. mode)
  local held = call('ZINTERCARD', 2, POOL .. 'waiting:' .. mode, POOL .. 'held')
  reply[#reply + 1] = {
    count - held,
    held,
    wait_ms(mode, 1, count),
    call('ZCARD', POOL .. 'sessions:loading:' .. mode),
    call('ZCARD', POOL .. 'sessions:allocating:' .. mode),
    call('ZCARD', POOL .. 'sessions:unplaced:' .. mode),
    call('ZCOUNT', POOL .. 'matched:' .. mode, int(now_us - 60000000), '+inf'),
    call('SISMEMBER', POOL .. 'paused', mode),
    free_for(mode),
    call('ZCARD', POOL .. 'tickets:' .. mode),
    wait_ms(mode, 0.5, count),
    wait_ms(mode, 0.9, count),
    wait_ms(mode, 0.99, count),
  }
end
return reply
