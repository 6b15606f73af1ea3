#!lua flags=no-writes
-- servers: one atomic look at these dedicated servers, for operators and metrics.
--
-- KEYS    clock
-- ARGV    per server: server_id
-- RETURN  per server: server_id lease_ms active reserved free field value...
--         the fields are those of the server's record; nil for one that is gone
-- CODES   none
-- TOUCHES clock servers server:* reserved:* active:* servers:open
-- SENDS   none
-- INCLUDE pool

local now_us = clock()
local reply = {}
for i, server_id in ipairs(ARGV) do
  local lease = call('ZSCORE', POOL .. 'servers', server_id)
  local flat = lease and {
    server_id,
    math.max(0, math.floor((lease - now_us) / 1000)),
    call('HLEN', POOL .. 'active:' .. server_id),
    call('HLEN', POOL .. 'reserved:' .. server_id),
    tonumber(string.match(call('HGET', POOL .. 'servers:open', server_id) or '0', '^%d+')),
  }
  for _, item in ipairs(lease and call('HGETALL', POOL .. 'server:' .. server_id) or {}) do
    flat[#flat + 1] = item
  end
  reply[i] = flat
end
return reply
