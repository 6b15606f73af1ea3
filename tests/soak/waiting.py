"""Invariant 11: with enough players waiting and a slot free, no queue holds a full match for long. No I/O."""

from collections.abc import Collection, Iterator, Mapping

from tests.soak.pool import Snapshot
from tests.soak.stack import GAME_MODES

LONGEST_SECONDS = 5.0  # one second is promised; five while Redis has just come back


class FullMatches:
    """Follows who waits, from look to look: who could be matched at each of them could be matched all along."""

    def __init__(self) -> None:
        self._since: dict[str, dict[str, float]] = {}

    def forget(self) -> None:
        """A look failed: what happened meanwhile is not known."""
        self._since.clear()

    def look(self, at: float, waiting: Mapping[str, Collection[str]]) -> Iterator[str]:
        """Take in a look, made `at` this time: by mode, the players who could be matched."""
        for mode, players in waiting.items():
            before = self._since.get(mode, {})
            self._since[mode] = since = {player: before.get(player, at) for player in players}
            late = sorted(player for player, begin in since.items() if at - begin > LONGEST_SECONDS)
            if len(late) >= GAME_MODES[mode]:
                yield f"{mode}: {len(late)} players, {', '.join(late[:3])} …"


def could_be_matched(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """By mode, the players who wait and have company and a slot to come to; nobody where one of these is missing."""
    look = snapshot.look
    modes = {name: look.mode(name) for name in GAME_MODES}
    free = sum(server.offered for server in look.servers.values())
    pending = sum(len(mode.stages["loading"]) + len(mode.stages["unplaced"]) for mode in modes.values())
    waiting = {name: (*mode.queue, *mode.front) for name, mode in modes.items()}
    return {
        name: players if len(players) >= GAME_MODES[name] and free > pending else ()
        for name, players in waiting.items()
    }
