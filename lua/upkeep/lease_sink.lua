#!lua flags=allow-oom
-- lease_sink: one process of the platform feeds a sink, so that events reach it in order. Renewed by the holder.
--
-- KEYS    clock
-- ARGV    sink holder lease_ms
-- WHERE   lease_ms: 0 gives the lease back
-- RETURN  held
--         1 when `holder` has the lease now
-- CODES   none
-- TOUCHES events:lease:*
-- SENDS   none
-- INCLUDE pool

local key, holder, lease_ms = POOL .. 'events:lease:' .. ARGV[1], ARGV[2], ARGV[3]
if (call('GET', key) or holder) ~= holder then
  return 0
end
if lease_ms == '0' then
  call('DEL', key)
  return 0
end
call('SET', key, holder, 'PX', lease_ms)
return 1
