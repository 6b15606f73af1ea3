-- The pool: every key shares the prefix (and hash tag) of KEYS[1], '<prefix>clock'; the clock stands behind one function.

local POOL = string.sub(KEYS[1], 1, -6)
local CHANNELS = DATABASE .. POOL -- pub/sub knows no databases
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

-- A number that only grows for each player, also when Redis lost the last one: within 2^53 until the year 2255. It comes
-- as text, and goes by text where it can: numbers of one length compare alike, and each conversion costs a lookup's time.
local newest, newest_us

local function next_seq(seq, redis_us)
  if newest_us ~= redis_us then
    newest, newest_us = int(redis_us), redis_us
  end
  if not seq or #seq == #newest and seq < newest then
    return newest
  end
  return int(math.max(seq + 1, redis_us))
end

-- Remove what is older than this from a sorted set by time: a bounded number, for others trim it too, and the most that one
-- call adds is less.
local TRIMMED = 1000

local function trim(key, oldest_us)
  local old = call('ZRANGEBYSCORE', key, '-inf', '(' .. int(oldest_us), 'LIMIT', 0, TRIMMED)
  if #old > 0 then
    call('ZREM', key, unpack(old))
  end
end

-- What the items of a call have in common is written once, at its end: one command for each key, whatever it has
-- gathered. Until then Redis does not have it, so nothing gathered may be read, or written otherwise, in the same call.
local gathered = {}

-- The list for one key: what is put into it goes out with write_gathered.
local function gathered_for(command, key)
  gathered[command] = gathered[command] or {}
  gathered[command][key] = gathered[command][key] or {}
  return gathered[command][key]
end

local function gather(command, key, first, second)
  local lists = gathered[command]
  local values = lists and lists[key] or gathered_for(command, key)
  values[#values + 1] = first
  values[#values + 1] = second
end

local function write_gathered()
  for command, lists in pairs(gathered) do
    for key, values in pairs(lists) do
      if #values > 0 then
        call(command, key, unpack(values))
      end
    end
  end
  gathered = {}
end

-- Decide on each item of the batch, `width` arguments each from ARGV[first] on. Each has one line of the answer per field,
-- for a list in a list costs as much as a command. An item that fails is answered with its error, and the others go on: one
-- poisonous player must not fail two hundred (docs/races.md, 16), nor keep what the others have in common from being
-- written behind the loop.
local function each_item(first, width, decide)
  local function entry(...)
    return table.concat(decide(...), '\n')
  end
  local reply = {}
  for i = first, #ARGV, width do
    local ok, answer = pcall(entry, unpack(ARGV, i, i + width - 1))
    reply[#reply + 1] = ok and answer or { err = type(answer) == 'table' and answer.err or tostring(answer) }
  end
  return reply
end

-- The same for a list that Redis holds. Nobody waits for an answer on one entry: Redis' log says which one failed.
local function each_listed(list, decide)
  for _, entry in ipairs(list) do
    local ok, failure = pcall(decide, entry)
    if not ok then
      redis.log(redis.LOG_WARNING, entry .. ' failed: ' .. (type(failure) == 'table' and failure.err or tostring(failure)))
    end
  end
end
