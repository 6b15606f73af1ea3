-- The pool: every key shares the prefix (and hash tag) of KEYS[1], '<prefix>clock'; the clock stands behind one function.

local POOL = string.sub(KEYS[1], 1, -6)
local call = redis.call

-- Whole numbers beyond 14 digits lose some in Lua's own conversion to text.
local function int(number)
  return string.format('%d', number)
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

-- Decide on each item of the batch, `width` arguments each from ARGV[first] on. An item that fails is answered with its
-- error, and the others go on: one poisonous player must not fail two hundred (docs/races.md, 16), nor keep what the others
-- have in common from being written behind the loop.
local function each_item(first, width, decide)
  local reply = {}
  for i = first, #ARGV, width do
    local ok, answer = pcall(decide, unpack(ARGV, i, i + width - 1))
    if not ok then
      answer = { err = type(answer) == 'table' and answer.err or tostring(answer) }
    end
    reply[#reply + 1] = answer
  end
  return reply
end
