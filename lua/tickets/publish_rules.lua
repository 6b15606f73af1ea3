#!lua flags=allow-oom
-- publish_rules: a node's game modes and the versions of their rules become the pool's, unless the pool has a higher
-- revision. Run at a start and on SIGHUP; and with `only_if_lost`, in case that Redis has lost them: then those of an equal
-- revision stay.
--
-- KEYS    clock
-- ARGV    revision only_if_lost; per mode: game_mode rules_version
-- RETURN  revision; per mode of the pool: game_mode rules_version
--         what holds now
-- CODES   none
-- TOUCHES rules
-- SENDS   none
-- INCLUDE pool

local revision, only_if_lost = ARGV[1], ARGV[2] == '1'
local key = POOL .. 'rules'
local held = call('HGET', key, '#revision')
local newer = held and tonumber(revision) - tonumber(held)
if not held or newer > 0 or newer == 0 and not only_if_lost then
  call('DEL', key)
  call('HSET', key, '#revision', revision, unpack(ARGV, 3))
end
local reply = { call('HGET', key, '#revision') }
local rules = call('HGETALL', key)
for i = 1, #rules, 2 do
  if rules[i] ~= '#revision' then
    reply[#reply + 1] = rules[i]
    reply[#reply + 1] = rules[i + 1]
  end
end
return reply
