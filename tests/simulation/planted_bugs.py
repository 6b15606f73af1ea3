"""Bugs to be planted into the Lua scripts: what is wrong, what stands there, and what is to stand there instead.

Each is one that somebody could really make; most undo the cure of a race that docs/races.md names.
"""

PLANTED_BUGS: dict[str, dict[str, str]] = {
    "a held player stays within the matcher's reach": {
        """  if record.state == 'queued' then
    take_from_queue(player, record.game_mode)
  end
  call('HSET', POOL .. 'player:' .. player, 'connection', '', 'lost', record.connection)
""": """  call('HSET', POOL .. 'player:' .. player, 'connection', '', 'lost', record.connection)
""",
    },
    "a cancelled match does not put its players back": {
        """        requeue(player, record, cancelled, seq)
""": """        publish(player, cancelled)
""",
    },
    "a repeated enqueue begins a second journey": {
        """    if own and tonumber(record.operation) >= tonumber(operation) then
      return owned('queued', player, record)
    end
    if record.state ~= 'matched' then
""": """    if record.state ~= 'matched' and not own then
""",
    },
    "a resumed player is in no queue": {
        """    if call('ZREM', POOL .. 'held', player) == 1 and record.state == 'queued' then
      call('ZADD', POOL .. 'queue:' .. record.game_mode .. ':front', record.enqueued_at, player)
    end
  end
  call('HSET', POOL .. 'player:' .. player, 'connection', connection""": """    call('ZREM', POOL .. 'held', player)
  end
  call('HSET', POOL .. 'player:' .. player, 'connection', connection""",
    },
    "a confirmed slot is not taken": {
        """  call('HSET', active, unpack(new))
""": "",
    },
    "an ended session keeps its slot": {
        """  if call('HDEL', POOL .. 'active:' .. server_id, session_id) == 1 then
""": """  if call('HEXISTS', POOL .. 'active:' .. server_id, session_id) == 1 then
""",
    },
    "a dead node's players are left to it": {
        """    if record and record.node == node and record.connection ~= '' then
      hold(player, record, now_us + grace_us)
      reply[1] = reply[1] + 1
    end
""": "",
    },
    "a player whose grace is over stays in its loading session": {
        "    cancel(session, 'player_left', { [player] = 'disconnected' }, redis_us)\n": "",
    },
    "nobody is told of a match that was cancelled": {
        """  publish(player, cancelled)
  publish(player, queued_frame(seq, record.game_mode, record.resume_token, true))
""": """  publish(player, queued_frame(seq, record.game_mode, record.resume_token, true))
""",
    },
    "a catch-up leaves out the match that was found": {
        """  if record.state == 'queued' or tonumber(record.seq) <= seq then
""": """  if record.state == 'queued' or record.state == 'matched' or tonumber(record.seq) <= seq then
""",
    },
    "an adopted allocation goes to another server while the first may have made it": {
        """  if call('HEXISTS', POOL .. 'reserved:' .. session.server, session.id) == 1 then
    call('HSET',""": """  if call('HDEL', POOL .. 'reserved:' .. session.server, session.id) == 2 then
    call('HSET',""",
    },
    "a player that Redis lost is not put back into the queue": {
        "  call('ZADD', POOL .. 'queue:' .. told.game_mode .. ':front', told.enqueued_at, player)\n": "",
    },
    "a claim that runs late takes its player from a newer connection": {
        "  return claimed_seq and asked_us < claimed_seq and claimed_seq < redis_us + AHEAD_US\n": "",
    },
    "a held player is given up with its cancelled match": {
        """      local gone = record.connection == '' and not call('ZSCORE', POOL .. 'held', player)
""": """      local gone = record.connection == ''
""",
    },
}
