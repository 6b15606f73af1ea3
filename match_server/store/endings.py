"""What a script has ended: players who leave, matches that are cancelled.

The reply of a script that includes lua/lib/cancel.lua has a list of them at its end (`with_endings` in
lua/lib/membership.lua). An answer that was lost, and is asked for again, has none.
"""

from match_server.events.node import MatchCancelled, PlayerDequeued


def parse_ending(entry: bytes) -> PlayerDequeued | MatchCancelled:
    """Read an entry of the list."""
    kind, *fields = entry.decode().split("\n")
    if kind == "player":
        player_id, game_mode, reason, loading_session_id, left_by = fields
        return PlayerDequeued(player_id, game_mode, reason, loading_session_id or None, left_by)
    loading_session_id, game_mode, reason, requeued, at_fault = fields
    return MatchCancelled(loading_session_id, game_mode, reason, tuple(at_fault.split()), int(requeued))
