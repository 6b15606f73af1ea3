-- Events: what the platform is told of a transition, written by the transition's own script, so that an event exists
-- exactly when its transition does. All events of a call are one entry of the stream `events`, a line each, which
-- match_server/events/entries.py reads. Needs pool.

local noted = {}
local changed_by = '' -- the label of the operator's key, in a call that an operator asked for

-- `type` and what it says, as text without tabs and line feeds.
local function note_event(...)
  if EVENTS then
    noted[#noted + 1] = table.concat({ ... }, '\t')
  end
end

-- The same as one text, its fields with tabs in between: the busiest scripts join it themselves, which costs half.
local function note_line(line)
  if EVENTS then
    noted[#noted + 1] = line
  end
end

-- Write what the call has noted. The entry's id is `<number of its last event>-<time>`: events are numbered without gaps,
-- and the time, Redis' own in microseconds, keeps an id unique when Redis comes back with an older number. The first number
-- is the time, so that after a loss of data numbers lie far ahead. Room for an event never decides on its transition: what
-- cannot be written is counted.
local function write_events(redis_us)
  if #noted == 0 then
    return
  end
  local count = #noted
  local number = call('HINCRBY', KEYS[1], 'events', count)
  if number == count then
    number = redis_us
    call('HSET', KEYS[1], 'events', int(number))
  end
  local written = redis.pcall('XADD', POOL .. 'events', int(number) .. '-' .. int(redis_us), 'e', table.concat(noted, '\n'))
  if type(written) == 'table' and written.err then
    call('HINCRBY', KEYS[1], 'events_dropped', count)
  end
  noted = {}
end
