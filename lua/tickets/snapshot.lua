#!lua flags=no-writes
-- snapshot: a page of the tickets of one game mode that can be proposed, oldest first. A reader takes the pages one after
-- the other, then reads the feed from the first page's `head` on: what changes meanwhile stands there.
--
-- KEYS    clock
-- ARGV    game_mode cursor limit
-- WHERE   cursor: empty for the first page, else as the last page gave it
-- RETURN  head epoch now_us cursor ticket...
--         the cursor is empty behind the last page; a ticket is a text (lib/tickets.lua)
-- CODES   none
-- TOUCHES clock tickets:* ticket:* feeds
-- SENDS   none
-- INCLUDE pool states frames tickets feed ticket_keys offers

local game_mode, cursor, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local key = POOL .. 'tickets:' .. game_mode
local now_us = clock()
local from = cursor == '' and '-inf' or '(' .. cursor
local page = call('ZRANGEBYSCORE', key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local ids, next_cursor = {}, ''
for i = 1, #page, 2 do
  ids[#ids + 1] = page[i]
end
if #ids == limit then -- the page ends with the last of those that came at one time
  next_cursor = page[#page]
  local seen = {}
  for _, id in ipairs(ids) do
    seen[id] = true
  end
  for _, id in ipairs(call('ZRANGEBYSCORE', key, next_cursor, next_cursor)) do
    if not seen[id] then
      ids[#ids + 1] = id
    end
  end
end

local reply = { call('HGET', POOL .. 'feeds', game_mode) or '0', call('HGET', KEYS[1], 'epoch') or '', int(now_us),
  next_cursor }
for _, id in ipairs(ids) do
  local ticket = load_ticket(id)
  if ticket then
    reply[#reply + 1] = ticket_text(ticket)
  end
end
return reply
