#!lua flags=allow-oom
-- trim_events: delete the events that every sink has stored, but for the recent ones; and whatever lies beyond the bound,
-- stored or not. What a sink has lost that way is counted.
--
-- KEYS    clock
-- ARGV    recent kept
-- WHERE   recent: how many events stay in any case; kept: how many stay at most
-- RETURN  per sink that lost events: sink first last
--         the numbers of the first and the last event that it lost in this call
-- CODES   none
-- TOUCHES clock events events:lost
-- SENDS   none
-- INCLUDE pool

local recent, kept = tonumber(ARGV[1]), tonumber(ARGV[2])
local key = POOL .. 'events'
local last = tonumber(call('HGET', KEYS[1], 'events'))
if not last or call('EXISTS', key) == 0 then
  return {}
end

local function number_of(id)
  return tonumber(string.match(id, '^%d+'))
end

-- The number of the first event of the entry with this id, or of the first entry.
local function first_number(id)
  local entry = call('XRANGE', key, id, '+', 'COUNT', 1)[1]
  if not entry then
    return nil
  end
  local _, line_feeds = string.gsub(entry[2][2], '\n', '')
  return number_of(entry[1]) - line_feeds
end

-- Where each sink stands: the number of the first event that it has not stored.
local function sinks()
  local found = {}
  local groups = redis.pcall('XINFO', 'GROUPS', key)
  for _, group in ipairs(groups.err and {} or groups) do
    local fields = {}
    for i = 1, #group, 2 do
      fields[group[i]] = group[i + 1]
    end
    local pending = call('XPENDING', key, fields.name)
    local next_number = pending[1] > 0 and first_number(pending[2]) or number_of(fields['last-delivered-id']) + 1
    found[#found + 1] = { name = fields.name, next_number = next_number }
  end
  return found
end

local known = sinks()
local bound, from = last - kept + 1, last - recent + 1
for _, sink in ipairs(known) do
  from = math.min(from, sink.next_number)
end
call('XTRIM', key, 'MINID', '~', int(math.max(from, bound, 0)))
local first, lost = first_number('-') or last + 1, {}
for _, sink in ipairs(known) do
  local counted_to = tonumber(call('HGET', POOL .. 'events:lost', sink.name .. ' to') or 0)
  local begin = math.max(sink.next_number, counted_to + 1)
  if sink.next_number > 1 and begin < first then
    call('HINCRBY', POOL .. 'events:lost', sink.name, int(first - begin))
    call('HSET', POOL .. 'events:lost', sink.name .. ' to', int(first - 1))
    lost[#lost + 1] = { sink.name, int(begin), int(first - 1) }
  end
end
return lost
