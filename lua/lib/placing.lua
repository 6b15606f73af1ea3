-- Placing: where a match goes, and how many more have a slot to come. Decides by the index that slots.lua keeps; what it
-- costs grows with the classes of servers and the modes with matches under way, never with the fleet. Needs slots.

local PAGE = 16

-- The classes that offer slots, read once per call. `read` holds the first of a class's servers, in the order of its
-- index: those that this call has used, and one that it has not. `ids` holds a page or more of the ids.
local open_classes

local function classes()
  if not open_classes then
    open_classes = {}
    local flat = call('HGETALL', POOL .. 'servers:free')
    for i = 1, #flat, 2 do
      local game_modes, region = string.match(flat[i], '^(%S+) (.*)$')
      open_classes[#open_classes + 1] = { name = flat[i], game_modes = game_modes, region = region,
        free = tonumber(flat[i + 1]), read = {}, ids = {} }
    end
  end
  return open_classes
end

-- Whether servers of this class take the mode, in this region or (nil) in any.
local function serves(class, game_mode, region)
  return (not region or class.region == region) and (class.game_modes == '*'
    or string.find(',' .. class.game_modes .. ',', ',' .. game_mode .. ',', 1, true) ~= nil)
end

-- What matches that wait for a slot want: a mode, in one region or (nil) in any.
local function demand(game_mode, region)
  return region and game_mode .. ' ' .. region or game_mode
end

-- Matches of this mode are under way: slots_to_come counts them until they have a slot. Written with the matches, not
-- before: who counts removes a mode that has none.
local function expect_matches(game_mode)
  gather('SADD', POOL .. 'modes:pending', game_mode)
end

-- This one can take no slot but one of its region.
local function bind_to_region(session_id, game_mode, region)
  gather('SADD', POOL .. 'modes:pending', demand(game_mode, region))
  gather('SADD', POOL .. 'sessions:bound:' .. demand(game_mode, region), session_id)
end

-- How many matches have yet to take a slot, by what they want; those that want one region come first. What nobody wants
-- any more is forgotten.
local function pending_matches()
  local bound, unbound, bound_count = {}, {}, {}
  for _, wanted in ipairs(call('SMEMBERS', POOL .. 'modes:pending')) do
    local game_mode, region = string.match(wanted, '^(%S+) ?(.*)$')
    local count, may_come
    if region ~= '' then
      count = call('SCARD', POOL .. 'sessions:bound:' .. wanted)
      bound[#bound + 1] = { game_mode = game_mode, region = region, count = count }
      bound_count[game_mode] = (bound_count[game_mode] or 0) + count
    else
      count = call('ZCARD', POOL .. 'sessions:loading:' .. game_mode) + call('ZCARD', POOL .. 'sessions:unplaced:' .. game_mode)
      may_come = count == 0 and call('EXISTS', POOL .. 'sessions:allocating:' .. game_mode) == 1
      unbound[#unbound + 1] = { game_mode = game_mode, count = count }
    end
    if count == 0 and not may_come then
      call('SREM', POOL .. 'modes:pending', wanted)
    end
  end
  for _, wanted in ipairs(unbound) do
    wanted.count = math.max(0, wanted.count - (bound_count[wanted.game_mode] or 0))
    bound[#bound + 1] = wanted
  end
  return bound
end

-- Give matches that want something the slots that are left in these classes; only in `ours`, or only in others.
local function take_slots(wanted, some_classes, ours)
  for _, class in ipairs(some_classes or {}) do
    if class.ours == ours and (not wanted.region or wanted.region == class.region) then
      local taken = math.min(wanted.count, class.left)
      class.left, wanted.count = class.left - taken, wanted.count - taken
    end
  end
end

-- How many more matches of a mode have a slot to come, in one region or (nil) in any: what is left of the free slots once
-- all pending matches have theirs, as far as they can on servers that are no use to this mode in this region.
local function slots_to_come(game_mode, region)
  local free, left, by_mode = 0, 0, {}
  for _, class in ipairs(classes()) do
    class.ours, class.left = serves(class, game_mode, region), class.free
    free = free + (class.ours and class.free or 0)
  end
  if free == 0 then
    return 0
  end
  for _, class in ipairs(classes()) do
    for mode in string.gmatch(class.game_modes, '[^,]+') do
      by_mode[mode] = by_mode[mode] or {}
      table.insert(by_mode[mode], class)
    end
  end
  for _, wanted in ipairs(pending_matches()) do
    for _, ours in ipairs({ false, true }) do
      take_slots(wanted, by_mode[wanted.game_mode], ours)
      take_slots(wanted, by_mode['*'], ours)
    end
  end
  for _, class in ipairs(classes()) do
    left = left + (class.ours and class.left or 0)
  end
  return left
end

-- `slots` is what read_slots says of the server, `place` where calls to it go.
local function read_server(server_id)
  local f = read_slots(server_id, 'endpoint', 'host', 'batch')
  return { id = server_id, slots = f, capacity = f[1], free = tonumber(f[6] or 0),
    place = server_id .. ' ' .. (f[10] or '') .. ' ' .. (f[11] or '') .. ' ' .. (f[12] or '') }
end

-- After this long a server whose quarantine is over is probed by whichever match is there.
local OTHERS_FIRST_US = 2000000

-- Whether a match may go to a server: not to one that it has failed on already, as its `failed_on` says, nor as the probe
-- of one that it was the last to fail on, while another match may come to probe it.
local function may_take(server, match, now)
  local quarantined_until = server.slots[4]
  if match.failed_on and match.failed_on[server.id] then
    match.passed_over = true
  elseif quarantined_until and now - quarantined_until < OTHERS_FIRST_US
    and call('HGET', POOL .. 'server:' .. server.id, 'failed_by') == players_digest(match) then
    match.passed_over = true
  else
    return true
  end
end

-- Read the servers of a class until the last one is as the index has it, and free for this match: whatever comes behind
-- it is no better.
local function read_on(class, match, placement, now)
  local read, ids = class.read, class.ids
  local last = read[#read]
  while not class.all_read and (not last or last.used or last.free == 0 or not may_take(last, match, now)) do
    if #read == #ids then
      local command = placement == 'pack' and 'ZRANGE' or 'ZREVRANGE'
      for _, id in ipairs(call(command, POOL .. 'servers:open:' .. class.name, #ids, #ids + PAGE - 1)) do
        ids[#ids + 1] = id
      end
    end
    class.all_read = #read == #ids
    last = not class.all_read and read_server(ids[#read + 1])
    read[#read + 1] = last or nil
  end
end

-- The server for a match, in this region or (nil) in any; nil when none has a free slot for it. `spread` takes the one
-- with the largest share of its slots free, `pack` the fullest.
local function best_server(match, region, placement, now)
  local best, best_share
  for _, class in ipairs(classes()) do
    if serves(class, match.game_mode, region) then
      read_on(class, match, placement, now)
      for _, server in ipairs(class.read) do
        local share = server.free > 0 and may_take(server, match, now) and server.free / server.capacity
        if share and (not best or placement == 'pack' and share < best_share or placement ~= 'pack' and share > best_share) then
          best, best_share = server, share
        end
      end
    end
  end
  return best
end

-- Take a slot for a match, in this region or (nil) in any; returns the server, or nil when no slot is free. The caller
-- refreshes the changed servers at its end.
local function reserve(match, region, placement, now)
  local server = best_server(match, region, placement, now)
  if not server then
    return nil
  end
  gather('HSET', POOL .. 'reserved:' .. server.id, match.id, now)
  if server.slots[4] then -- its quarantine is over, and this match is to find out
    call('HSET', POOL .. 'server:' .. server.id, 'probe', match.id)
    server.slots[5] = match.id
  end
  server.free, server.used = server.free - 1, true
  changed_servers[server.id] = server.slots
  return server
end
