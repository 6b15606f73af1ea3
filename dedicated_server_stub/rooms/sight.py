"""Who sees whom, by grid cells: a player sees its own cell and the eight around it."""

from collections.abc import Iterator
from typing import TypeAlias

from dedicated_server_stub.game import SCALE, Player, World
from dedicated_server_stub.rooms.messages import State, state_of

Cell: TypeAlias = tuple[int, int]
# Players who stand in the same cell and have seen the same: the cell, and whether they stood there a tick ago.
Audience: TypeAlias = tuple[Cell, bool]


class Sight:
    """The cells of a room's players in this tick and in the one before.

    Args:
        radius: the side of a cell, in units: at least this far everybody sees.
    """

    def __init__(self, radius: float) -> None:
        self._side = max(1, round(radius * SCALE))
        self._now: dict[str, Cell] = {}
        self._before: dict[str, Cell] = {}

    def begin_tick(self, world: World) -> None:
        """Note where everybody stands."""
        self._before, self._now = self._now, {player.player_id: self._cell(player) for player in world.players.values()}

    def visible(self, viewer: Player, world: World) -> Iterator[Player]:
        """The players whom one sees, itself included."""
        here = self._cell(viewer)
        return (player for player in world.players.values() if _near(here, self._cell(player)))

    def audience(self, viewer: Player) -> Audience:
        """Who is sent the same as this player."""
        cell = self._now[viewer.player_id]
        return cell, self._before.get(viewer.player_id) == cell

    def state(self, audience: Audience, world: World, *, since: int) -> State:
        """What an audience is sent.

        Who stood elsewhere a tick ago, or has skipped ticks, gets everything in sight; the others what has changed,
        all of a player who comes into sight, and the ids of those who have gone out of it.
        """
        cell, stayed = audience
        full = not stayed or since != world.tick - 1
        players = []
        out_of_sight = []
        for player_id, player in world.players.items():
            seen_before = not full and player_id in self._before and _near(cell, self._before[player_id])
            if _near(cell, self._now[player_id]):
                change = state_of(player, since=since if seen_before else None)
                if change is not None:
                    players.append(change)
            elif seen_before:
                out_of_sight.append(player_id)
        return State(world.tick, players, full=full, out_of_sight=out_of_sight)

    def _cell(self, player: Player) -> Cell:
        return player.x // self._side, player.y // self._side


def _near(one: Cell, other: Cell) -> bool:
    return abs(one[0] - other[0]) <= 1 and abs(one[1] - other[1]) <= 1
