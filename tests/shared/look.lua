-- look: every key of a pool, with its type and what it holds, in one atomic step. Hashes are flat lists of fields and
-- values, sorted sets of members and scores.
--
-- ARGV    prefix
-- RETURN  the keys as JSON, without the prefix; the pool's time in microseconds
local prefix, call = ARGV[1], redis.call
local reads = {
  hash = function(key) return call('HGETALL', key) end,
  set = function(key) return call('SMEMBERS', key) end,
  zset = function(key) return call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  list = function(key) return call('LRANGE', key, 0, -1) end,
  string = function(key) return call('GET', key) end,
  stream = function(key) return call('XLEN', key) end,
}
local found = {}
for _, key in ipairs(call('KEYS', prefix .. '*')) do
  local kind = call('TYPE', key).ok
  found[string.sub(key, #prefix + 1)] = { kind, reads[kind](key) }
end
local time = call('TIME')
local stopped_us = found.clock and call('HGET', prefix .. 'clock', 'stopped_us') or 0
return { cjson.encode(found), string.format('%.0f', time[1] * 1000000 + time[2] - stopped_us) }
