-- The states of a player, each named once. A match has LOADING and ALLOCATING, too.
local GATHERING, QUEUED, LOADING, ALLOCATING, MATCHED = 'gathering', 'queued', 'loading', 'allocating', 'matched'
