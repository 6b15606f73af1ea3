#!lua flags=allow-oom
-- due_modes: the game modes in which somebody waits in the queue, or a ready match for a slot. Each is given to one node in
-- each period, whichever asks first. A mode that nobody waits in costs nothing.
--
-- KEYS    clock
-- ARGV    period_us; per mode that this node does not form: game_mode places
-- WHERE   places: 1 where the node still finds slots for its ready matches
-- RETURN  game_mode...
-- CODES   none
-- TOUCHES clock modes:waiting modes:pending modes:ticked queue:* sessions:*
-- SENDS   none
-- INCLUDE pool

local now_us = clock()
local due, places = {}, {}
for i = 2, #ARGV, 2 do
  places[ARGV[i]] = ARGV[i + 1]
end

for _, game_mode in ipairs(call('SMEMBERS', POOL .. 'modes:waiting')) do
  if call('SCARD', POOL .. 'queue:' .. game_mode) + call('ZCARD', POOL .. 'queue:' .. game_mode .. ':front') > 0 then
    due[game_mode] = not places[game_mode]
  else
    call('SREM', POOL .. 'modes:waiting', game_mode)
  end
end
for _, pending in ipairs(call('SMEMBERS', POOL .. 'modes:pending')) do
  local game_mode = string.match(pending, '^%S+') -- a region may stand behind it
  due[game_mode] = due[game_mode] or places[game_mode] ~= '0' and call('ZCARD', POOL .. 'sessions:unplaced:' .. game_mode) > 0
end

local reply = {}
for game_mode, is_due in pairs(due) do
  local ticked_us = is_due and tonumber(call('HGET', POOL .. 'modes:ticked', game_mode) or 0)
  -- Nine tenths: nodes do not ask in step, and one that asks a moment too early must not leave the mode to nobody. A time
  -- ahead of now was written before the pool's clock went back.
  if ticked_us and (now_us - ticked_us >= 0.9 * ARGV[1] or ticked_us > now_us) then
    call('HSET', POOL .. 'modes:ticked', game_mode, int(now_us))
    reply[#reply + 1] = game_mode
  end
end
return reply
