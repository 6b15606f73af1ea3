-- Forming: write a match that somebody has chosen, and send its players to load. Needs events, frames, placing and states.

-- What the matches of one call have in common: their times, and how their ids begin. The ids have 72 random bits of the
-- caller; the time keeps the repeat of a call whose first reply was lost from giving the ids of its first matches again.
local function formation(game_mode, seed, loading_timeout_us)
  local now_us, redis_us = clock()
  local hex = redis.sha1hex(seed .. ':' .. int(redis_us))
  return { game_mode = game_mode, count = 0, now_us = now_us, now = int(now_us), redis_us = redis_us,
    deadline = int(now_us + loading_timeout_us), loading_seconds = loading_timeout_us / 1000000,
    loading_sessions = gathered_for('ZADD', POOL .. 'sessions:loading:' .. game_mode),
    ids = string.sub(hex, 1, 8) .. '-' .. string.sub(hex, 9, 12) .. '-4' .. string.sub(hex, 14, 16) .. '-a'
      .. string.sub(hex, 18, 20) .. '-' }
end

local function parties_of(members)
  local parties = {}
  for i, member in ipairs(members) do
    parties[i] = member.party
  end
  return table.concat(parties, ' ')
end

-- `members` are tables with a `player`, its last `seq` and `enqueued_at`, and its `party`, where rules decide (`-`: none).
-- They are in no queue any more; the caller takes them out of `waiting`, and writes what is gathered. `settled` is what
-- rules have settled: `details` for the frames, as JSON fields, the `region` for the server, `remember_seconds`
-- (form.lua), the `attributes` of all players, as a JSON object, the ids of the `tickets`, and of those among them that
-- are of `parties`, and the `differences` of the match, as JSON. A random draw settles nothing.
local function form(common, members, settled)
  local players, since = {}, {}
  for i, member in ipairs(members) do
    players[i], since[i] = member.player, member.enqueued_at
  end
  common.count = common.count + 1
  if common.count == 1 then
    expect_matches(common.game_mode)
  end
  local session = { id = common.ids .. string.format('%012x', common.count), game_mode = common.game_mode,
    players_json = '["' .. table.concat(players, '","') .. '"]', details = settled and settled.details or '' }
  local fields = { '#missing', #players, '#state', LOADING, '#players', session.players_json,
    '#game_mode', session.game_mode, '#created', common.now, '#deadline', common.deadline }
  for _, player in ipairs(players) do
    fields[#fields + 1] = player
    fields[#fields + 1] = LOADING
  end
  local loading_key = POOL .. 'loading:' .. session.id
  call('HSET', loading_key, unpack(fields))
  if settled then
    call('HSET', loading_key, '#details', settled.details, '#region', settled.region, '#attributes', settled.attributes,
      '#tickets', table.concat(settled.tickets, ' '), '#parties', table.concat(settled.parties, ' '))
    if settled.remember_seconds ~= '0' then
      call('HSET', loading_key, '#remember_seconds', settled.remember_seconds)
    end
    if settled.region ~= '' then
      bind_to_region(session.id, session.game_mode, settled.region)
    end
  end
  local index = common.loading_sessions
  index[#index + 1] = common.deadline
  index[#index + 1] = session.id
  local tail = start_loading_tail(session, common.loading_seconds)
  for _, member in ipairs(members) do
    local seq = next_seq(member.seq, common.redis_us)
    call('HSET', POOL .. 'player:' .. member.player, 'state', LOADING, 'seq', seq, 'loading_session_id', session.id)
    publish(member.player, start_loading_frame(seq, tail))
  end
  note_line('match.formed\t' .. session.id .. '\t' .. session.game_mode .. '\t' .. session.players_json .. '\t' .. common.now
    .. '\t' .. table.concat(since, ' ') .. '\t' .. (settled and parties_of(members) or '') .. '\t' .. session.details .. '\t'
    .. (settled and settled.differences or ''))
  return session.id
end
