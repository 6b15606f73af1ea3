#!lua flags=no-writes
-- servers: one atomic look at the registry of dedicated servers, for operators and metrics.
--
-- KEYS    clock
-- ARGV    offset limit
-- RETURN  per server: server_id lease_ms active reserved free field value...
--         by the order of their leases; the fields are those of the server's record
-- CODES   none
-- TOUCHES clock servers server:* reserved:* active:* servers:open
-- SENDS   none
-- INCLUDE pool

local now_us = clock()
local reply = {}
local range = call('ZRANGE', POOL .. 'servers', ARGV[1], ARGV[1] + ARGV[2] - 1, 'WITHSCORES')
for i = 1, #range, 2 do
  local server_id = range[i]
  local flat = {
    server_id,
    math.max(0, math.floor((range[i + 1] - now_us) / 1000)),
    call('HLEN', POOL .. 'active:' .. server_id),
    call('HLEN', POOL .. 'reserved:' .. server_id),
    tonumber(string.match(call('HGET', POOL .. 'servers:open', server_id) or '0', '^%d+')),
  }
  for _, item in ipairs(call('HGETALL', POOL .. 'server:' .. server_id)) do
    flat[#flat + 1] = item
  end
  reply[#reply + 1] = flat
end
return reply
