-- The feed: every change to the tickets that can be proposed, for the proposer of their mode. Ids are consecutive per
-- mode, so a reader notices a gap, and takes a new snapshot. Needs pool.

local FEED_LENGTH, FEED_SECONDS = 10000, 600

-- `changes` has two entries for each change, its kind and what it says: of put a ticket (ticket_text), of held and removed
-- the ids of tickets. The first id of a mode is the time: after a loss of data the ids lie far ahead of those that readers
-- know.
local function write_feed(game_mode, changes)
  local id = call('HINCRBY', POOL .. 'feeds', game_mode, 1)
  if id == 1 then
    local _, redis_us = clock()
    id = redis_us
    call('HSET', POOL .. 'feeds', game_mode, int(id))
  end
  local feed = POOL .. 'feed:' .. game_mode
  call('XADD', feed, 'MAXLEN', '~', FEED_LENGTH, int(id) .. '-0', unpack(changes))
  call('EXPIRE', feed, FEED_SECONDS)
end
