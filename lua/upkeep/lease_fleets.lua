#!lua flags=allow-oom
-- lease_fleets: one node of the pool looks after its Agones fleets. Renewed by the holder.
--
-- KEYS    clock
-- ARGV    node lease_ms
-- RETURN  held
--         1 when `node` has the lease now
-- CODES   none
-- TOUCHES fleets
-- SENDS   none
-- INCLUDE pool

local key, node, lease_ms = POOL .. 'fleets', ARGV[1], ARGV[2]
if (call('GET', key) or node) ~= node then
  return 0
end
call('SET', key, node, 'PX', lease_ms)
return 1
