-- Meetings: whom a player has had in its matches, for the rule `rematch`. Needs pool.

local MOST_MEETINGS = 50

-- These players have a match with each other. Those whom a player met longest ago make room for others.
local function note_meetings(players, now_us, keep_seconds)
  for _, player in ipairs(players) do
    local met = {}
    for _, other in ipairs(players) do
      if other ~= player and #met < 2 * MOST_MEETINGS then
        met[#met + 1] = int(now_us)
        met[#met + 1] = other
      end
    end
    if #met > 0 then
      local key = POOL .. 'met:' .. player
      call('ZADD', key, unpack(met))
      call('ZREMRANGEBYRANK', key, 0, -MOST_MEETINGS - 1)
      call('EXPIRE', key, keep_seconds)
    end
  end
end
