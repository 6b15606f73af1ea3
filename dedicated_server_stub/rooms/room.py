"""A room: the game of one session, as an actor. Commands wait in its queue; its tick alone changes anything."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from dedicated_server_stub.game import BOUNDS, SCALE, SPEED, Player, Reason, World
from dedicated_server_stub.metrics import RoomMetrics
from dedicated_server_stub.rooms.acknowledged import Acknowledged
from dedicated_server_stub.rooms.broadcast import Broadcast
from dedicated_server_stub.rooms.close_codes import RoomClose
from dedicated_server_stub.rooms.commands import Called, Command, Joined, Lost, Received, Stored
from dedicated_server_stub.rooms.connection import Connection
from dedicated_server_stub.rooms.messages import (
    Ack,
    Acknowledgeable,
    Chat,
    ClientMessage,
    Ended,
    Leave,
    Move,
    Notice,
    PlayerJoined,
    PlayerLeft,
    Said,
    Snapshot,
    State,
    Tag,
    Tagged,
    Told,
    Welcome,
    rejection,
)
from dedicated_server_stub.rooms.methods import Calls
from dedicated_server_stub.rooms.sight import Sight

KEPT_CHAT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSettings:
    """What all rooms of a server share."""

    tick_hz: float = 20.0
    rejoin_seconds: float = 30.0
    ack_attempts: int = 5
    view_radius: float | None = None  # None: everybody sees everybody


@dataclass(slots=True, eq=False)
class Member:
    """A player of the room, connected or expected back."""

    player: Player
    connection: Connection | None
    acknowledged: Acknowledged
    state_tick: int  # of the last state that its connection was sent
    lost_at: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What waits until a snapshot of this revision is stored; the message, if it is one."""

    revision: int
    act: Callable[[], None]
    message: Acknowledgeable | None


class Keeper(Protocol):
    """Whoever saves the room."""

    def after_tick(self, room: "Room") -> None:
        """The room stands between two ticks. `Stored` tells it what of `revision` is saved."""


class Room:
    """The running game of one session.

    Args:
        session_id: the session.
        settings: shared by all rooms.
        on_over: called once, when the last player has left or the game is won.
        metrics: shared by all rooms.
        clock: seconds, never going back.
        world: one to go on with; None: a new one.
    """

    def __init__(
        self,
        session_id: str,
        settings: RoomSettings,
        *,
        on_over: Callable[[str], None],
        metrics: RoomMetrics,
        clock: Callable[[], float],
        world: World | None = None,
    ) -> None:
        self.session_id = session_id
        self.world = World(tick_hz=settings.tick_hz) if world is None else world
        self.members: dict[str, Member] = {}
        self.lag_seconds = 0.0  # of the last tick
        self.result: dict[str, Any] | None = None  # None: the game goes on
        self.gone: set[str] = set()
        self.chat: deque[Said] = deque(maxlen=KEPT_CHAT)
        self.calls = Calls({})
        self.last_id = 0
        self.keeper: Keeper | None = None  # None: nothing of the room outlives this process
        self.held: deque[Held] = deque()
        self.revision = 0  # counts what was held back
        self._settings = settings
        self._on_over = on_over
        self._metrics = metrics
        self._clock = clock
        self._commands: deque[Command] = deque()
        sight = None if settings.view_radius is None else Sight(settings.view_radius)
        self._broadcast = Broadcast(self.world, sight)

    # --- from outside, at any time ---

    def submit(self, command: Command) -> None:
        """Queue a command for the next tick."""
        self._commands.append(command)

    def is_member(self, player_id: str) -> bool:
        """The player is in the room, or expected back."""
        return player_id in self.members

    def has_left(self, player_id: str) -> bool:
        """The player was here and has left for good: its token lets nobody in again."""
        return player_id in self.gone

    def present(self) -> list[str]:
        """Who is connected, first come first."""
        return [player_id for player_id, member in self.members.items() if member.connection is not None]

    def end(self) -> dict[str, Any]:
        """End the game, and return its result. `run` returns once every client has acknowledged that."""
        if self.result is None:
            self.result = self.world.result()
            while self.held:  # a session that is over is not taken up again
                self.held.popleft().act()
            self._deliver(Ended(self._next_id(), self.result))
        return self.result

    async def run(self) -> None:
        """Tick until the game is over and everybody knows. Late ticks are not made up for: time is not squeezed."""
        period = 1 / self._settings.tick_hz
        due = self._clock() + period
        while self.result is None or any(len(member.acknowledged) for member in self._connected()):
            await asyncio.sleep(due - self._clock())
            now = self._clock()
            self.lag_seconds = max(0.0, now - due)
            due = max(due + period, now)
            self.tick()
            self._metrics.tick_lag.observe(self.lag_seconds)
            self._metrics.tick_duration.observe(self._clock() - now)
        while self._commands:  # who joined in the last moment is turned away
            self._apply(self._commands.popleft())
        self.close(RoomClose.NORMAL)

    def close(self, code: RoomClose) -> None:
        """Close every connection, of those who have just come too."""
        for command in self._commands:
            if isinstance(command, Joined | Lost | Received):
                command.connection.close(code)
        for member in self._connected():
            _connection_of(member).close(code)

    # --- the tick ---

    def tick(self) -> None:
        """Apply the commands in their order, let the world take its step, send what has changed."""
        self.world.step()
        for member in self._connected():
            _connection_of(member).begin_tick()
        self._metrics.commands.inc(len(self._commands))
        while self._commands:
            self._apply(self._commands.popleft())
        now = self._clock()
        for member in list(self.members.values()):
            if member.lost_at is not None and now - member.lost_at >= self._settings.rejoin_seconds:
                self._remove(member)
            elif member.connection is not None:
                self._repeat_unacknowledged(member, now)
        if self.result is None and (self.world.won or (self.gone and not self.members)):
            self._on_over(self.session_id)
        if self.result is None:
            self._send_states()
            if self.keeper is not None:
                self.keeper.after_tick(self)

    def notify(self, text: str) -> None:
        """Tell all players what operators have to say. Only within a tick."""
        self._send_acknowledged(Notice(self._next_id(), text))

    def _apply(self, command: Command) -> None:
        match command:
            case Stored(revision):
                while self.held and self.held[0].revision <= revision:
                    self.held.popleft().act()
            case Called():
                outcome = self.calls.carry_out(command, self)
                if outcome is not None:
                    self._once_stored(partial(command.answer, outcome))
            case _:
                self._apply_of_player(command)

    def _apply_of_player(self, command: Joined | Lost | Received) -> None:
        member = self.members.get(command.connection.player_id)
        match command:
            case Joined(connection):
                self._join(connection, member)
            case Lost(connection, left):
                if member is not None and member.connection is connection:  # not taken over since
                    self._leave(member) if left else self._lose(member)
            case Received(connection, message):
                if member is not None and member.connection is connection and self.result is None:
                    self._receive(member, connection, message)
                elif member is not None and isinstance(message, Ack):
                    member.acknowledged.acknowledge(message.id)

    def _join(self, connection: Connection, member: Member | None) -> None:
        if self.result is not None or self.has_left(connection.player_id):
            connection.close(RoomClose.SESSION_OVER)
            return
        rejoining = member is not None
        if member is None:
            player = self.world.enter(connection.player_id, connection.team)
            acknowledged = Acknowledged(attempts=self._settings.ack_attempts)
            member = self.members[connection.player_id] = Member(player, None, acknowledged, self.world.tick)
        elif member.connection is not None:
            member.connection.close(RoomClose.TAKEN_OVER)
        was_lost, member.lost_at = member.lost_at is not None, None
        member.connection = connection
        member.state_tick = self.world.tick - 1  # what later commands of this tick change is still to be sent
        connection.send(self._welcome(member.player))
        member.acknowledged.start_anew(self._clock())
        if not rejoining or was_lost:
            self._broadcast.to_all(
                (other.connection for other in self.members.values() if other is not member),
                PlayerJoined(connection.player_id, rejoining=rejoining),
            )

    def _welcome(self, viewer: Player) -> Welcome:
        return Welcome(
            session_id=self.session_id,
            player_id=viewer.player_id,
            tick=self.world.tick,
            tick_hz=self._settings.tick_hz,
            bounds={axis: (low / SCALE, high / SCALE) for axis, (low, high) in BOUNDS.items()},
            speed=SPEED / SCALE,
            players=self._broadcast.everything(viewer),
            chat=list(self.chat),
        )

    def _receive(self, member: Member, connection: Connection, message: ClientMessage) -> None:
        player = member.player
        match message:
            case Move(seq=seq) | Tag(seq=seq):
                reason = Reason.OLD_SEQ if seq <= player.seq else self._carry_out(player, message)
                if reason is None:
                    player.set(self.world.tick, seq=seq)
                else:
                    self._metrics.rejected.labels(reason.value).inc()
                    connection.send(rejection(player, seq, reason))
            case Chat(text):
                said = Said(player.player_id, text, self.world.tick)
                self.chat.append(said)
                self._to_all(Told(said.player_id, said.text, said.tick))
            case Ack(message_id):
                member.acknowledged.acknowledge(message_id)
            case Snapshot():
                member.state_tick = self.world.tick - 1  # as for a welcome
                connection.send(State(self.world.tick, self._broadcast.everything(player), full=True))
            case Leave():
                self._leave(member)
                connection.close(RoomClose.NORMAL)

    def _carry_out(self, player: Player, intent: Move | Tag) -> Reason | None:
        if isinstance(intent, Move):
            x, y, z, yaw = (round(value * SCALE) for value in (intent.x, intent.y, intent.z, intent.yaw))
            return self.world.move(player, x=x, y=y, z=z, yaw=yaw)
        reason = self.world.tag(player, intent.player_id)
        if reason is None:
            self._send_acknowledged(
                Tagged(self._next_id(), by=player.player_id, player_id=intent.player_id, scores=self.world.scores())
            )
        return reason

    def _lose(self, member: Member) -> None:
        member.connection = None
        member.lost_at = self._clock()
        self._to_all(PlayerLeft(member.player.player_id, rejoining=True))

    def _leave(self, member: Member) -> None:
        member.connection = None
        self._remove(member)

    def _remove(self, member: Member) -> None:
        player_id = member.player.player_id
        del self.members[player_id]
        self.gone.add(player_id)
        self.world.leave(player_id)
        self._to_all(PlayerLeft(player_id, rejoining=False))

    def _repeat_unacknowledged(self, member: Member, now: float) -> None:
        connection = _connection_of(member)
        if member.acknowledged.failed(now):
            connection.close(RoomClose.SESSION_OVER)  # for this player, whom no token lets in again
            self._leave(member)
            return
        if not connection.behind:
            for message in member.acknowledged.due(now):
                connection.send(message)

    # --- what is sent ---

    def _send_states(self) -> None:
        """Send each client what has changed since its last state; one that does not keep up gets it later, in one."""
        tick = self.world.tick
        self._broadcast.begin_states()
        for member in self._connected():
            connection = _connection_of(member)
            if not connection.behind:
                self._broadcast.state(connection, member.player, since=member.state_tick)
                member.state_tick = tick

    def _send_acknowledged(self, message: Acknowledgeable) -> None:
        self._once_stored(partial(self._deliver, message), message)

    def _once_stored(self, act: Callable[[], None], message: Acknowledgeable | None = None) -> None:
        """Hold back what a crash must not undo, until a snapshot has it. Without a keeper there is nothing to wait for.

        `tests/stub/test_recovery.py::test_what_players_were_told_is_in_the_snapshot` holds it.
        """
        if self.keeper is None:
            act()
            return
        self.revision += 1
        self.held.append(Held(self.revision, act, message))

    def _deliver(self, message: Acknowledgeable) -> None:
        now = self._clock()
        for member in self.members.values():
            member.acknowledged.add(message, now)
        self._to_all(message)

    def _to_all(self, message: PlayerJoined | PlayerLeft | Told | Acknowledgeable) -> None:
        self._broadcast.to_all((member.connection for member in self.members.values()), message)

    def _connected(self) -> list[Member]:
        return [member for member in self.members.values() if member.connection is not None]

    def _next_id(self) -> int:
        self.last_id += 1
        return self.last_id


def _connection_of(member: Member) -> Connection:
    assert member.connection is not None  # noqa: S101 - the caller has just looked
    return member.connection
