#!lua
-- place: give slots that have become free to the ready matches of one mode that wait for one, longest wait first.
-- A match whose players have all left meanwhile needs none.
--
-- KEYS    clock
-- ARGV    game_mode node lease_us wait_us limit
-- RETURN  order...
-- CODES   none
-- TOUCHES clock player:* left:* queue:* waiting:* held node_players:* loading:* sessions:* servers:open server:*
--         reserved:* active:*
-- SENDS   notifications:*
-- INCLUDE pool frames players queue sessions cancel slots placing

local game_mode, node, limit = ARGV[1], ARGV[2], ARGV[5]
local now_us, redis_us = clock()
local now, lease_until, wait_until = int(now_us), int(now_us + ARGV[3]), int(now_us + ARGV[4])
local servers = open_servers()
local reply, full = {}, false

each_listed(call('ZRANGE', POOL .. 'sessions:unplaced:' .. game_mode, 0, limit - 1), function(loading_session_id)
  local session = not full and load_listed(loading_session_id, game_mode)
  if session and not somebody_there(session) then
    cancel(session, 'player_left', {}, redis_us)
  elseif session then
    reply[#reply + 1] = place(session, servers, node, now, lease_until, wait_until)
    full = session.server == ''
  end
end)
refresh_changed_servers(now_us)
return reply
