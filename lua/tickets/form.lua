#!lua flags=allow-oom
-- form: write the matches that a proposer has chosen from the waiting tickets of one game mode. Each proposal is only a
-- wish: it is checked here, in the step that writes its match, and changes nothing if one ticket of it no longer fits.
--
-- KEYS    clock
-- ARGV    game_mode rules_version seed loading_timeout_us remember_seconds; per proposal: tickets region details differences
-- WHERE   rules_version: of the rules that chose; remember_seconds: for how long the players of a match are not to meet
--         again (lib/meetings.lua), 0 where no rule says so; tickets: `ticket_id version` of each, separated by spaces; region: empty
--         for any; details: further JSON fields of the frames, beginning with a comma; differences: of the match, as a
--         JSON object, for its event
-- RETURN  per proposal: code; when formed: loading_session_id waits_us; when stale: ticket_id (empty for a
--         proposal of nobody)
--         waits_us: how long each of its players has waited, separated by spaces
-- CODES   formed, stale (that ticket is gone, another version, or a member cannot be reached), no_slot (no server would
--         have room for this match), queue_paused, other_rules (the pool has newer rules)
-- TOUCHES clock player:* paused rules waiting:* ticket:* tickets:* feeds feed:* loading:* sessions:* modes:pending
--         servers:free events
-- SENDS   notifications:*
-- INCLUDE pool events states frames tickets feed ticket_keys offers players queue membership slots placing forming

local game_mode, rules_version, seed, loading_timeout_us = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local remember_seconds = ARGV[5]
local common = formation(game_mode, seed, loading_timeout_us)
local paused = call('SISMEMBER', POOL .. 'paused', game_mode) == 1
local other_rules = call('HGET', POOL .. 'rules', game_mode) ~= rules_version
local matched, taken, gone = {}, {}, {} -- of the matches formed: players, and tickets as a set and as a list
local slots = {} -- by region

-- The ticket with its members, if it is still the one that was proposed.
local function load_proposed(ticket_id, version)
  local listed = not taken[ticket_id] and call('ZSCORE', POOL .. 'tickets:' .. game_mode, ticket_id)
  local ticket = listed and load_ticket(ticket_id)
  if listed and not ticket then -- an entry that nobody owns would be proposed for ever
    recall_ticket(ticket_id, game_mode, 'removed')
  end
  local members = ticket and ticket.version == version and reachable_members(ticket)
  return members and ticket, members
end

-- Take the tickets for a match.
local function settle(tickets, region, details, differences)
  local ids, parties, attributes = {}, {}, {}
  for i, ticket in ipairs(tickets) do
    ids[i], attributes[i] = ticket.id, string.sub(ticket.attributes, 2, -2)
    if ticket.party ~= '' then
      parties[#parties + 1] = ticket.id
    end
    taken[ticket.id], gone[#gone + 1] = true, ticket.id
  end
  return { tickets = ids, parties = parties, region = region, details = details, remember_seconds = remember_seconds,
    differences = differences,
    attributes = '{' .. table.concat(attributes, ',') .. '}' }
end

local function decide(proposal, region, details, differences)
  if paused then
    return { 'queue_paused' }
  end
  if other_rules then
    return { 'other_rules' }
  end
  local tickets, members, waits, seen = {}, {}, {}, {}
  for ticket_id, version in string.gmatch(proposal, '(%S+) (%d+)') do
    local ticket, reachable
    if not seen[ticket_id] then
      ticket, reachable = load_proposed(ticket_id, version)
    end
    if not ticket then
      return { 'stale', ticket_id }
    end
    seen[ticket_id] = true
    tickets[#tickets + 1] = ticket
    for _, member in ipairs(reachable) do
      members[#members + 1] = member
      waits[#waits + 1] = int(common.now_us - ticket.enqueued_at)
    end
  end
  if #members == 0 then
    return { 'stale', '' }
  end
  -- A match of this call may take a slot of any region's: none is given to two.
  slots[region] = slots[region] or slots_to_come(game_mode, region ~= '' and region or nil) - common.count
  if slots[region] <= 0 then
    return { 'no_slot' }
  end
  local settled = settle(tickets, region, details, differences)
  for _, member in ipairs(members) do
    matched[#matched + 1] = member.player
  end
  for name, count in pairs(slots) do
    slots[name] = count - 1
  end
  return { 'formed', form(common, members, settled), table.concat(waits, ' ') }
end

local reply = each_item(6, 4, decide)
write_gathered()
take_out_popped(matched, game_mode)
if #gone > 0 then
  call('ZREM', POOL .. 'tickets:' .. game_mode, unpack(gone))
  write_feed(game_mode, { 'removed', table.concat(gone, ' ') })
end
write_events(common.redis_us)
return reply
