#!lua flags=no-writes
-- players: the players of one game mode in one stage, longest first, for operators; a page of them.
--
-- KEYS    clock
-- ARGV    game_mode stage after_score after_member after_index limit
-- WHERE   stage: waiting (held players among them), loading or allocating; after_score, after_member and after_index: where
--         the last page ended, empty for the first one. A member is a player, or a loading session with its players.
-- RETURN  per player: player_id state held node waited_ms loading_session_id score member index
-- CODES   none
-- TOUCHES clock waiting:* sessions:* loading:* held player:*
-- SENDS   none
-- INCLUDE pool

local game_mode, stage, after_score, after_member = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local after_index, limit = tonumber(ARGV[5]), tonumber(ARGV[6])
local now_us = clock()
local key = POOL .. 'waiting:' .. game_mode
if stage ~= 'waiting' then
  key = POOL .. 'sessions:' .. stage .. ':' .. game_mode
end
local reply = {}

-- Behind the last page's end; where that member has gone since, at the first of its score.
local function begin()
  if after_member == '' then
    return 0
  end
  return call('ZRANK', key, after_member) or call('ZCOUNT', key, '-inf', '(' .. after_score)
end

local function players_of(member)
  if stage == 'waiting' then
    return { member }
  end
  local players = call('HGET', POOL .. 'loading:' .. member, '#players')
  return players and cjson.decode(players) or {}
end

local function add(player, score, member, index)
  local f = call('HMGET', POOL .. 'player:' .. player, 'state', 'node', 'enqueued_at', 'loading_session_id')
  if f[1] then
    local held = call('ZSCORE', POOL .. 'held', player) and 1 or 0
    local waited_ms = math.max(0, math.floor((now_us - (f[3] or now_us)) / 1000))
    reply[#reply + 1] = { player, f[1], held, f[2] or '', waited_ms, f[4] or '', score, member, index }
  end
end

local start = begin()
local flat = call('ZRANGE', key, start, start + limit, 'WITHSCORES')
for i = 1, #flat, 2 do
  local member = flat[i]
  for index, player in ipairs(players_of(member)) do
    if #reply < limit and (member ~= after_member or index > after_index) then
      add(player, flat[i + 1], member, index)
    end
  end
end
return reply
