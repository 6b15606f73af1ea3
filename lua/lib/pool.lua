-- The pool: every key shares the prefix (and hash tag) of KEYS[1], '<prefix>clock'; the clock stands behind one function.

local POOL = string.sub(KEYS[1], 1, -6)
local call = redis.call

-- Whole numbers beyond 14 digits lose some in Lua's own conversion to text.
local function int(number)
  return string.format('%.0f', number)
end

-- The pool's time in microseconds, and Redis' own. They differ by the time in which nobody swept: no lease may
-- run out while nobody could have renewed it (see sweep.lua). A test moves the pool's clock by the same field.
local function clock()
  local time = call('TIME')
  local redis_us = time[1] * 1000000 + time[2]
  return redis_us - (call('HGET', KEYS[1], 'stopped_us') or 0), redis_us
end

-- A number that only grows for each player, also when Redis lost the last one: within 2^53 until the year 2255.
local function next_seq(seq, redis_us)
  return math.max((tonumber(seq) or 0) + 1, redis_us)
end
