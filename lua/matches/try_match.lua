#!lua flags=allow-oom
-- try_match: form as many matches of one game mode as the queue holds, slots allow and one call may (`cap` players).
-- Pops the players, writes their loading sessions and tells them, all in one step: nobody is ever between two states.
--
-- KEYS    clock
-- ARGV    game_mode size cap seed loading_timeout_us rules_version
-- WHERE   rules_version: of this node's mode; where the pool has another, none is formed
-- RETURN  formed more unplaced; per player matched: wait_us
--         more is 1 when another call would form a match now, 2 when it would if there were a slot, 3 where the pool's
--         mode is another than this node's; unplaced counts ready matches that wait for a slot
-- CODES   none
-- TOUCHES clock rules player:* paused queue:* waiting:* loading:* sessions:* modes:pending
--         servers:free events
-- SENDS   notifications:*
-- INCLUDE pool events states frames queue slots placing forming

local game_mode, size, cap = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local seed, loading_timeout_us, rules_version = ARGV[4], tonumber(ARGV[5]), ARGV[6]
local queue = POOL .. 'queue:' .. game_mode
local front = queue .. ':front'

-- Random strategy. The pop stands behind a function of its own, so that a simulation can seed it.
local function pop_random(count)
  return call('SPOP', queue, count)
end

-- Those in front first, then at random. Whoever has no record that says `queued` here is dropped: no ghost is matched.
local function pop_candidates(count)
  local candidates, seen = {}, {}
  local function consider(player, score)
    -- Not load_player: here half of it would do. A key of another type has none of it.
    local f = not seen[player] and redis.pcall('HMGET', POOL .. 'player:' .. player, 'state', 'connection', 'seq',
      'game_mode', 'enqueued_at')
    if f and f[1] == QUEUED and f[2] ~= '' and f[4] == game_mode then
      seen[player] = true
      candidates[#candidates + 1] = { player = player, front_score = score, seq = f[3], enqueued_at = f[5] }
    end
  end
  local first = call('ZPOPMIN', front, count)
  for i = 1, #first, 2 do
    consider(first[i], first[i + 1])
  end
  if #first / 2 < count then
    for _, player in ipairs(pop_random(count - #first / 2)) do
      consider(player)
    end
  end
  return candidates
end

local unplaced = call('ZCARD', POOL .. 'sessions:unplaced:' .. game_mode)
local there = call('SCARD', queue) + call('ZCARD', front)
if there < size or call('SISMEMBER', POOL .. 'paused', game_mode) == 1 then
  return { 0, 0, unplaced }
end
-- While nodes get a new size one after the other, a match must not depend on which of them looks. A mode that the pool's
-- file does not name is formed all the same: no other size of it holds.
local pools = call('HGET', POOL .. 'rules', game_mode)
if pools and pools ~= rules_version then
  return { 0, 3, unplaced }
end
local slots = slots_to_come(game_mode)
local wanted = math.min(math.floor(there / size), math.max(1, math.floor(cap / size)), slots)
if wanted <= 0 then
  return { 0, 2, unplaced }
end

local common = formation(game_mode, seed, loading_timeout_us)
local candidates = pop_candidates(wanted * size)
local formed = math.floor(#candidates / size)
local reply, matched = { formed, 0, unplaced }, {}

for index = 1, formed do
  local members = {}
  for i = (index - 1) * size + 1, index * size do
    local member = candidates[i]
    members[#members + 1] = member
    matched[#matched + 1] = member.player
    reply[#reply + 1] = common.now_us - member.enqueued_at
  end
  form(common, members)
end
write_gathered()
take_out_popped(matched, game_mode)
write_events(common.redis_us)
for index = formed * size + 1, #candidates do -- ghosts left a group incomplete: back, each where it stood
  local record = candidates[index]
  put_back_popped(record.player, game_mode, record.front_score)
end
there = call('SCARD', queue) + call('ZCARD', front)
reply[2] = there < size and 0 or slots > formed and 1 or 2
return reply
