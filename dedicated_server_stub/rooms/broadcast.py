"""The same message to many: encoded once per form of the frames, and states once per tick and audience."""

from collections.abc import Iterable
from typing import TypeAlias

from dedicated_server_stub.game import Player, World
from dedicated_server_stub.rooms.connection import Connection
from dedicated_server_stub.rooms.frames import ENCODERS, Frame
from dedicated_server_stub.rooms.messages import PlayerState, ServerMessage, State, state_of
from dedicated_server_stub.rooms.sight import Audience, Sight

# The tick of the last state, and who sees the same; None: everybody sees everybody.
_Key: TypeAlias = tuple[int, Audience | None]


class Broadcast:
    """Encodes for a room.

    Args:
        world: whose changes are sent.
        sight: who sees whom; None: everybody sees everybody.
    """

    def __init__(self, world: World, sight: Sight | None) -> None:
        self._world = world
        self._sight = sight
        self._states: dict[_Key, State] = {}  # of this tick
        self._frames: dict[tuple[_Key, str], Frame] = {}
        self._numbers: dict[str, int] = {}

    def to_all(self, connections: Iterable[Connection | None], message: ServerMessage) -> None:
        """Send a message to all who are connected."""
        frames: dict[str, Frame] = {}
        for connection in connections:
            if connection is not None:
                frame = frames.get(connection.form)
                if frame is None:
                    frame = frames[connection.form] = ENCODERS[connection.form](message)
                connection.send_frame(frame)

    def everything(self, viewer: Player) -> list[PlayerState]:
        """All that a player sees, in full."""
        players = self._world.players.values() if self._sight is None else self._sight.visible(viewer, self._world)
        return [state for player in players if (state := state_of(player, since=None)) is not None]

    def begin_states(self) -> None:
        """Begin with the states of this tick, once all commands are applied."""
        self._states.clear()
        self._frames.clear()
        self._numbers = {player.player_id: player.number for player in self._world.players.values()}
        if self._sight is not None:
            self._sight.begin_tick(self._world)

    def state(self, connection: Connection, viewer: Player, *, since: int) -> None:
        """Send what has changed after the tick `since`, if anything has. Who has seen the same gets the same bytes."""
        key = since, None if self._sight is None else self._sight.audience(viewer)
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = self._state(key)
        if not (state.players or state.out_of_sight):
            return
        frame = self._frames.get((key, connection.form))
        if frame is None:
            frame = self._frames[key, connection.form] = ENCODERS[connection.form](state, self._numbers)
        connection.send_frame(frame)

    def _state(self, key: _Key) -> State:
        since, audience = key
        if self._sight is not None and audience is not None:
            return self._sight.state(audience, self._world, since=since)
        changes = (state_of(player, since=since) for player in self._world.players.values())
        return State(self._world.tick, [change for change in changes if change is not None])
