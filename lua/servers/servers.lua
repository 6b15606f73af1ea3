#!lua flags=no-writes
-- servers: one atomic look at these dedicated servers, for operators and metrics.
--
-- KEYS    clock
-- ARGV    per server: server_id
-- RETURN  per server: server_id lease_ms active reserved free retry_ms field value...
--         retry_ms: until a server that failed or was full may be asked again, else -1; the fields are those of the
--         server's record; nil for one that is gone
-- CODES   none
-- TOUCHES clock servers server:* reserved:* active:*
-- SENDS   none
-- INCLUDE pool

local now_us = clock()
local reply = {}
for i, server_id in ipairs(ARGV) do
  local lease = call('ZSCORE', POOL .. 'servers', server_id)
  local paused = lease and call('HMGET', POOL .. 'server:' .. server_id, 'full', 'quarantined_until') or {}
  local until_us = math.max(tonumber(paused[1] or 0), tonumber(paused[2] or 0))
  local flat = lease and {
    server_id,
    math.max(0, math.floor((lease - now_us) / 1000)),
    call('HLEN', POOL .. 'active:' .. server_id),
    call('HLEN', POOL .. 'reserved:' .. server_id),
    tonumber(call('HGET', POOL .. 'server:' .. server_id, 'offered') or 0),
    until_us > 0 and math.max(0, math.floor((until_us - now_us) / 1000)) or -1,
  }
  for _, item in ipairs(lease and call('HGETALL', POOL .. 'server:' .. server_id) or {}) do
    flat[#flat + 1] = item
  end
  reply[i] = flat
end
return reply
