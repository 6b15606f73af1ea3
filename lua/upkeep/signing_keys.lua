#!lua flags=allow-oom
-- signing_keys: the pool's private keys, which sign players' join tokens and calls to dedicated servers.
--
-- KEYS    clock
-- ARGV    proposed ahead_us overlap_us rotate
-- WHERE   proposed: a new key, taken if the pool has none, or if rotate is 1; ahead_us: how long its public half is
--         published before it signs, where there is another; overlap_us: how long that one is kept and published after
-- RETURN  key...
--         the one to sign with first, then the others, newest first
-- CODES   none
-- TOUCHES clock signing_keys
-- SENDS   none
-- INCLUDE pool

local proposed, ahead_us, overlap_us, rotate = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local _, redis_us = clock()
local keys = POOL .. 'signing_keys'

if rotate or call('EXISTS', keys) == 0 then
  call('ZADD', keys, 'NX', int(redis_us), proposed)
end
local known, signing, others = call('ZRANGE', keys, 0, -1, 'REV', 'WITHSCORES'), nil, {}
for i = 1, #known, 2 do
  local next_us = tonumber(known[i - 1]) -- when the next one was taken
  if next_us and next_us + ahead_us + overlap_us < redis_us then
    call('ZREM', keys, known[i])
  elseif not signing and known[i + 1] + ahead_us <= redis_us then
    signing = known[i]
  else
    others[#others + 1] = known[i]
  end
end
if not signing then -- all are new: nodes that are there know the oldest one longest
  signing = others[#others]
  others[#others] = nil
end
return { signing, unpack(others) }
