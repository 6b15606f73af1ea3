#!lua flags=allow-oom
-- read_feed: the changes to the waiting tickets of one game mode, in order. What the lease's holder has read is deleted.
--
-- KEYS    clock
-- ARGV    game_mode after limit fence
-- WHERE   limit: of changes, but for those of one entry;
--         after: the id of the last change that the reader knows; fence: of its lease, empty for a reader without one
-- RETURN  gap head epoch now_us; then per change: kind text
--         gap is 1 when changes behind `after` are missing: the reader needs a new snapshot; head is the id of the last
--         change in this answer; kind and text are those of lib/feed.lua
-- CODES   none
-- TOUCHES clock feeds feed:* proposer:*
-- SENDS   none
-- INCLUDE pool

local ENTRIES = 8

local game_mode, after, limit, fence = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local feed = POOL .. 'feed:' .. game_mode
local now_us = clock()
local last = tonumber(call('HGET', POOL .. 'feeds', game_mode) or 0)
local changes, head = {}, after

-- The entries that follow the last one without a gap, a few at a time: each has the changes of one call of a script.
local function read_entries()
  local entries = call('XRANGE', feed, int(head + 1) .. '-0', '+', 'COUNT', ENTRIES)
  for _, entry in ipairs(entries) do
    local id = tonumber(string.match(entry[1], '^%d+'))
    if id ~= head + 1 or #changes >= limit * 2 then
      return false
    end
    head = id
    for _, text in ipairs(entry[2]) do
      changes[#changes + 1] = text
    end
  end
  return #entries == ENTRIES
end

while read_entries() do end
local gap = head == after and last ~= after
if fence ~= '' and not gap and call('HGET', POOL .. 'proposer:' .. game_mode, 'fence') == fence then
  call('XTRIM', feed, 'MINID', int(after + 1) .. '-0')
end
return { gap and 1 or 0, int(head), call('HGET', KEYS[1], 'epoch') or '', int(now_us), unpack(changes) }
