#!lua flags=no-writes
-- nodes: one atomic look at the nodes of the pool, for operators.
--
-- KEYS    clock
-- ARGV    limit
-- RETURN  per node: node lease_ms players info
--         lease_ms is negative for a node that is thought dead, or has taken no lease yet; info is what it last said of
--         itself, as JSON, or empty
-- CODES   none
-- TOUCHES clock nodes nodes:info node_players:*
-- SENDS   none
-- INCLUDE pool

local now_us = clock()
local flat, reply = call('ZRANGE', POOL .. 'nodes', 0, ARGV[1] - 1, 'WITHSCORES'), {}
for i = 1, #flat, 2 do
  reply[#reply + 1] = { flat[i], math.floor((flat[i + 1] - now_us) / 1000), call('SCARD', POOL .. 'node_players:' .. flat[i]),
    call('HGET', POOL .. 'nodes:info', flat[i]) or '' }
end
return reply
