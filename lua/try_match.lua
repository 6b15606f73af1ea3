#!lua
-- try_match: form as many matches of one game mode as the queue holds, slots allow and one call may (`cap` players).
-- Pops the players, writes their loading sessions and tells them, all in one step: nobody is ever between two states.
--
-- KEYS    clock
-- ARGV    game_mode size cap seed loading_timeout_us
-- RETURN  formed more unplaced; per player matched: wait_us
--         more is 1 when another call would form a match now; unplaced counts ready matches that wait for a slot
-- CODES   none
-- TOUCHES clock player:* paused modes queue:* waiting:* loading:* sessions:* servers:open
-- SENDS   notifications:*
-- INCLUDE pool frames slots

local game_mode, size, cap = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local seed, loading_timeout_us = ARGV[4], tonumber(ARGV[5])
local queue = POOL .. 'queue:' .. game_mode
local front = queue .. ':front'

-- Random strategy. The pop and the ids stand behind one function each, so that a simulation can seed them.
local function pop_random(count)
  return call('SPOP', queue, count)
end

-- 72 random bits of the call, and the match's number in it. The time keeps the repeat of a call, whose first reply was
-- lost, from giving the ids of its first matches again.
local function ids_begin(redis_us)
  local hex = redis.sha1hex(seed .. ':' .. int(redis_us))
  return string.sub(hex, 1, 8) .. '-' .. string.sub(hex, 9, 12) .. '-4' .. string.sub(hex, 14, 16) .. '-a'
    .. string.sub(hex, 18, 20) .. '-'
end

local function pending(mode)
  return call('ZCARD', POOL .. 'sessions:loading:' .. mode) + call('ZCARD', POOL .. 'sessions:unplaced:' .. mode)
end

-- How many more matches have a slot to come to: the free ones that take this mode, less those that its own
-- pending matches will take, less what other modes' pending matches cannot find on servers of their own.
local function slots_to_come()
  local servers, free = open_servers(), 0
  for _, server in ipairs(servers) do
    if accepts(server.game_modes, game_mode) then
      free = free + server.free
    end
  end
  free = free - pending(game_mode)
  if free <= 0 then
    return 0
  end
  for _, other in ipairs(call('SMEMBERS', POOL .. 'modes')) do
    local theirs = other ~= game_mode and pending(other) or 0
    if theirs > 0 then
      local shared = false
      for _, server in ipairs(servers) do
        if accepts(server.game_modes, other) then
          if accepts(server.game_modes, game_mode) then
            shared = true
          else
            theirs = theirs - server.free
          end
        end
      end
      if shared then
        free = free - math.max(0, theirs)
      end
    end
  end
  return free
end

-- Those in front first, then at random. Whoever has no record that says `queued` here is dropped: no ghost is matched.
local function pop_candidates(count)
  local candidates, seen = {}, {}
  local function consider(player, score)
    -- Not load_player: here half of it would do. A key of another type has none of it.
    local f = not seen[player] and redis.pcall('HMGET', POOL .. 'player:' .. player, 'state', 'connection', 'seq',
      'game_mode', 'enqueued_at')
    if f and f[1] == 'queued' and f[2] ~= '' and f[4] == game_mode then
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
local slots = slots_to_come()
local wanted = math.min(math.floor(there / size), math.max(1, math.floor(cap / size)), slots)
if wanted <= 0 then
  return { 0, 0, unplaced }
end

local now_us, redis_us = clock()
local now, deadline = int(now_us), int(now_us + loading_timeout_us)
local candidates = pop_candidates(wanted * size)
local formed = math.floor(#candidates / size)
local ids = ids_begin(redis_us)
local reply = { formed, 0, unplaced }
local loading_sessions = gathered_for('ZADD', POOL .. 'sessions:loading:' .. game_mode)
local no_longer_waiting = gathered_for('ZREM', POOL .. 'waiting:' .. game_mode)

for index = 1, formed do
  local players = {}
  for place_in_match = 1, size do
    players[place_in_match] = candidates[(index - 1) * size + place_in_match].player
  end
  local session = { id = ids .. string.format('%012x', index), game_mode = game_mode,
    players_json = '["' .. table.concat(players, '","') .. '"]' }
  local fields = { '#missing', ARGV[2], '#state', 'loading', '#players', session.players_json,
    '#game_mode', game_mode, '#created', now, '#deadline', deadline }
  for _, player in ipairs(players) do
    fields[#fields + 1] = player
    fields[#fields + 1] = 'loading'
  end
  call('HSET', POOL .. 'loading:' .. session.id, unpack(fields))
  loading_sessions[#loading_sessions + 1] = deadline
  loading_sessions[#loading_sessions + 1] = session.id
  local tail = start_loading_tail(session, loading_timeout_us / 1000000)
  for place_in_match = 1, size do
    local record = candidates[(index - 1) * size + place_in_match]
    local seq = next_seq(record.seq, redis_us)
    call('HSET', POOL .. 'player:' .. record.player, 'state', 'loading', 'seq', seq, 'loading_session_id', session.id)
    no_longer_waiting[#no_longer_waiting + 1] = record.player
    publish(record.player, start_loading_frame(seq, tail))
    reply[#reply + 1] = now_us - record.enqueued_at
  end
end
write_gathered()
for index = formed * size + 1, #candidates do -- ghosts left a group incomplete: back, each where it stood
  local record = candidates[index]
  if record.front_score then
    call('ZADD', front, record.front_score, record.player)
  else
    call('SADD', queue, record.player)
  end
end
there = call('SCARD', queue) + call('ZCARD', front)
reply[2] = there >= size and slots > formed and 1 or 0
return reply
