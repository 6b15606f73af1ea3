"""Bugs to be planted into the Lua scripts: what is wrong, what stands there, and what is to stand there instead.

Each is one that somebody could really make; most undo the cure of a race that docs/races.md names.
"""

PLANTED_BUGS: dict[str, dict[str, str]] = {
    "a held player leaves no event": {
        """  note_event('player.held', player, record.game_mode, record.state, record.loading_session_id)
""": "",
    },
    "a session that ends leaves no event": {
        """      note_line('session.ended\\t' .. session_id .. '\\t' .. how .. '\\t' .. (results[session_id] or ''))
""": "",
    },
    "a held player stays within the matcher's reach": {
        """  if record.state == QUEUED then
    withdraw(player, record, 'held')
  end
  disconnect(player, record)
""": """  disconnect(player, record)
""",
    },
    "a cancelled match does not put its players back": {
        """      requeue(player, record, match_cancelled_frame(seq, session.id, reason), seq)
""": """      publish(player, match_cancelled_frame(seq, session.id, reason))
""",
    },
    "a repeated enqueue begins a second journey": {
        """  if own and tonumber(record.operation) >= tonumber(operation) then
    return place_of_player(lost and 'held' or nil, player, record, epoch, now_us)
  end
  if record.state ~= MATCHED then
""": """  if record.state ~= MATCHED and not own then
""",
    },
    "a resumed player is in no queue": {
        """    if record.state == QUEUED then
      put_in_front(player, record)
    end
  end
end
""": """  end
end
""",
    },
    "a confirmed slot is not taken": {
        """    call('HSET', POOL .. 'active:' .. server_id, unpack(fields))
    if f[10] then
""": """    if f[10] then
""",
    },
    "an ended session keeps its slot": {
        """    call('HDEL', active, unpack(live))
""": "",
    },
    "a dead node's players are left to it": {
        """  if is_on then
    hold(player, record, own_until_us and own_until_us[record.game_mode] or until_us)
  else
    call('SREM', POOL .. 'node_players:' .. node, player)
  end
""": """  call('SREM', POOL .. 'node_players:' .. node, player)
""",
    },
    "a player whose grace is over stays in its loading session": {
        "    cancel(session, 'player_left', { [player] = 'disconnected' }, redis_us)\n": "",
    },
    "nobody is told of a match that was cancelled": {
        """  publish(player, cancelled)
  publish(player, queued_frame(seq, record.game_mode, record.resume_token, true, record.ticket))
""": """  publish(player, queued_frame(seq, record.game_mode, record.resume_token, true, record.ticket))
""",
    },
    "a catch-up leaves out the match that was found": {
        """  if record.state == QUEUED or tonumber(record.seq) <= seq then
""": """  if record.state == QUEUED or record.state == MATCHED or tonumber(record.seq) <= seq then
""",
    },
    "an adopted allocation goes to another server while the first may have made it": {
        """  if call('HEXISTS', POOL .. 'reserved:' .. session.server, session.id) == 1 then
    call('HSET',""": """  if call('HDEL', POOL .. 'reserved:' .. session.server, session.id) == 2 then
    call('HSET',""",
    },
    "a player that Redis lost is not put back into the queue": {
        """    put_in_again(player, record)
  end
  call('HSET', player_key, 'requeued'""": """  end
  call('HSET', player_key, 'requeued'""",
    },
    "a claim that runs late takes its player from a newer connection": {
        "  return claimed_seq and asked_us < claimed_seq and claimed_seq < redis_us + AHEAD_US\n": "",
    },
    "a member that leaves while its party waits leaves the others behind": {
        """  drop_members(ticket, 'party_left', redis_us, player)
  return #ticket.players - 1
""": """  return #ticket.players - 1
""",
    },
    "the party of whoever is held waits within reach": {
        """    recall_ticket(record.ticket, record.game_mode, change)
    return
""": """    return
""",
    },
    "a held player is given up with its cancelled match": {
        "  return record.connection == '' and not is_held(player)\n": "  return record.connection == ''\n",
    },
}
