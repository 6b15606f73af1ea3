-- The queue: what enqueue, the draw and the confirmation of matches need of membership (lib/membership.lua), for many players
-- at once.

-- Players are on this node from now on. A node without a lease (Redis lost it) is noted by the negative of the time until
-- which it may take one: should it die before it does, its players would be nobody's.
local UNLEASED_US = 10000000

local function note_node(node, now_us)
  call('ZADD', POOL .. 'nodes', 'NX', int(-(now_us + UNLEASED_US)), node)
end

local function with_scores(members, score)
  local scored = {}
  for i, member in ipairs(members) do
    scored[2 * i - 1], scored[2 * i] = score, member
  end
  return scored
end

-- New players on one node, into the queue; or their `tickets` within reach of the proposer.
local function put_in(players, node, game_mode, now_us, tickets)
  if #players == 0 then
    return
  end
  local now = int(now_us)
  if tickets then
    call('ZADD', POOL .. 'tickets:' .. game_mode, unpack(with_scores(tickets, now)))
  else
    call('SADD', POOL .. 'queue:' .. game_mode, unpack(players))
    call('SADD', POOL .. 'modes:waiting', game_mode)
  end
  call('ZADD', POOL .. 'waiting:' .. game_mode, unpack(with_scores(players, now)))
  call('SADD', POOL .. 'node_players:' .. node, unpack(players))
  note_node(node, now_us)
end

-- A player that was popped and not matched, back to where it was.
local function put_back_popped(player, game_mode, front_score)
  if front_score then
    call('ZADD', POOL .. 'queue:' .. game_mode .. ':front', front_score, player)
  else
    call('SADD', POOL .. 'queue:' .. game_mode, player)
  end
end

-- Popped players that are matched no longer wait.
local function take_out_popped(players, game_mode)
  if #players > 0 then
    call('ZREM', POOL .. 'waiting:' .. game_mode, unpack(players))
  end
end

local function end_hold(player)
  return call('ZREM', POOL .. 'held', player) == 1
end

-- The player's match is found: no node and no grace concerns it any more. The indexes of nodes are written with those of
-- the other players of the call (gather).
local function release(player, node, connection)
  gather('SREM', POOL .. 'node_players:' .. node, player)
  if connection == '' then
    end_hold(player)
  end
end
