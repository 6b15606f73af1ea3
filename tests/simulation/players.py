"""Simulated players: clients that follow the rules of the contract, and do what real ones do at the wrong moment."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from match_server import protocol
from match_server.errors import CloseCode, InvalidMessage
from match_server.protocol import ClientMessage, Dequeue, Dequeued, Enqueue, ErrorCode, Resume
from test_client.client import seconds_until_return
from test_client.journey import Journey
from test_client.states import State, Step
from test_client.tickets import Brought
from tests.simulation.connection import Connection
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode

Act: TypeAlias = Callable[[], None]

_NO_NODE_SECONDS = 0.2
_NOTICED_SECONDS = (0.0, 0.0, 0.05, 1.0)  # how soon a node sees that a link broke


class SimulatedPlayer:
    """A player and its connections. `gone`: it left for good, without waiting for an answer."""

    def __init__(
        self,
        player_id: str,
        game_mode: str,
        *,
        brings: Brought,
        loading_seconds: float,
        weather: Weather,
        chance: Random,
        trace: Trace,
        pick_node: "Callable[[], SimulatedNode | None]",
        on_violation: Callable[[str], None],
        on_place_lost: Callable[[str, float], None],
        on_overtaken: Callable[[str], None],
    ) -> None:
        self.player_id = player_id
        self._brings = brings
        self.journey = self._new_journey(game_mode)
        self.gone = False
        self.robbed = False  # a rival may have had this player, once it was matched
        self.older: list[Connection] = []  # replaced by newer ones, and not closed by this client
        self._loading_seconds = loading_seconds
        self._weather = weather
        self._chance = chance
        self._trace = trace
        self._pick_node = pick_node
        self._on_violation = on_violation
        self._on_place_lost = on_place_lost
        self._on_overtaken = on_overtaken
        self._away_since = 0.0
        self._places_lost = 0
        self._connection: Connection | None = None
        self._connections = 0
        self._last_claimed: Connection | None = None  # the connection whose claim a node has received last
        self._plan = 0  # what was planned under an older number is void
        self._violations = 0
        self._again = 0  # journeys begun after the first
        self._slow = False  # it will not load this session in time

    @property
    def settled(self) -> bool:
        """Nothing more is owed to this player: it is matched or has left, or waits in a queue, and knows it."""
        if self.gone:
            return True
        if self.journey.state in {State.MATCHED, State.LEFT, State.REFUSED}:
            return True
        return self.waiting

    @property
    def waiting(self) -> bool:
        """It is in the queue, and knows it."""
        connected = self._connection is not None and self._connection.usable
        return not self.gone and self.journey.state is State.QUEUED and self.journey.settled and connected

    def arrive(self) -> None:
        """Connect and enqueue; also to come back."""
        if self.gone or (self._connection and self._connection.usable):
            return
        self._connect()

    def come_back(self, *, trusted: bool) -> None:
        """Arrive, if there is anything to come back for.

        `trusted`: Redis has lost nothing. An emptied one has forgotten the match, too; whoever resumes from one that
        it was told of would be put back into the queue.
        """
        if self.journey.state not in {State.LEFT, State.REFUSED} and (
            trusted or self.journey.state is not State.MATCHED
        ):
            self.arrive()

    def go_home(self) -> None:
        """Leave whatever there is to leave, by a clean close."""
        if self._connection and self._connection.usable:
            self._connection.leave()
        self._vanish()

    # --- links ---

    def _connect(self) -> None:
        node = self._pick_node()
        if node is None:
            self._later(_NO_NODE_SECONDS, self.arrive, whatever=True)
            return
        self._connections += 1
        self._connection = connection = Connection(self, number=self._connections, chance=self._chance)
        self._trace.note(self.player_id, "connects", f"#{connection.number}", node.name)
        node.serve(connection)
        self._send(self.journey.opening())
        if self._rolls(self._weather.hasty):
            act = self._chance.choice((self._drop, self._close, self._dequeue))
            self._later(self._chance.uniform(0, 0.02), act)

    def on_closed(self, connection: Connection, code: int) -> None:
        """See `Client`."""
        self._trace.note(self.player_id, "closed", f"#{connection.number}", code)
        if connection in self.older:
            self.older.remove(connection)
        if connection is not self._connection or self.gone:
            return
        if code == CloseCode.TAKEN_OVER and connection is self._last_claimed and not self.robbed:
            self._on_overtaken(self.player_id)
        self._lose_link()
        # 4000 on the newest: an older connection's claim was on its way for longer, and received later. Or Redis was
        # emptied. A person at it would press the button again.
        back = 0.1 if code == CloseCode.TAKEN_OVER else seconds_until_return(code, self._chance)
        if not self._over():
            self._later(0.1 if back is None else min(back, 1.0), self.arrive, whatever=True)

    def on_frame(self, connection: Connection, data: bytes) -> None:
        """See `Client`."""
        self._trace.note(self.player_id, f"hears #{connection.number}", data)
        if connection is not self._connection or self.gone:
            return
        try:
            message = protocol.decode_server(data)
        except InvalidMessage as error:
            self._on_violation(f"{self.player_id}: a frame that is not of the protocol: {error}")
            return
        owned = self.journey.settled
        step = self.journey.receive(message)
        if owned and isinstance(message, Dequeued) and message.reason == "disconnected":
            self._on_place_lost(self.player_id, 0.0)
        for violation in self.journey.violations[self._violations :]:
            self._on_violation(f"{self.player_id}: {violation}")
        self._violations = len(self.journey.violations)
        if self.journey.places_lost > self._places_lost and not self.robbed:
            self._places_lost = self.journey.places_lost
            self._on_place_lost(self.player_id, asyncio.get_running_loop().time() - self._away_since)
        self._follow(step)

    # --- what to do next ---

    def _follow(self, step: Step) -> None:
        match step:
            case Step.WAIT:
                return
            case Step.RETRY if self.journey.leaving and self.journey.state is State.IDLE:
                self._close()  # it had asked to leave before it was in
            case Step.RETRY:
                self._later(self.journey.retry_after_seconds, lambda: self._send(self.journey.again()))
            case Step.GATHER | Step.QUEUED:
                self._plan += 1
                self._misbehave(within_seconds=2.0)
            case Step.LOAD:
                self._plan += 1
                self._load()
                self._misbehave(within_seconds=self._loading_seconds)
            case Step.STOP_LOADING:
                self._plan += 1
            case Step.PLAY | Step.END:
                self._plan += 1
                if step is Step.PLAY and self._rolls(self._weather.repeats):
                    self._later(self._chance.uniform(0, 1), self._repeat)
                if self._again < 2 and self._rolls(self._weather.plays_again):
                    self._again += 1
                    self._later(self._chance.uniform(0, 1), self._play_again)

    def _load(self) -> None:
        loading = self.journey.loading
        if loading is None or self._rolls(self._weather.never_loads):
            return
        seconds = self._chance.uniform(0.02, 0.4) * self._loading_seconds
        self._later(seconds, lambda: self._send(self.journey.loading_complete()))
        if self._rolls(self._weather.repeats):
            self._later(seconds + self._chance.uniform(0, 0.2), lambda: self._send(self.journey.loading_complete()))

    def _misbehave(self, within_seconds: float) -> None:
        weather = self._weather
        for rate, act in (
            (weather.drops, self._drop),
            (weather.vanishes, self._vanish),
            (weather.quits, self._dequeue),
            (weather.closes, self._close),
            (weather.repeats, self._repeat),
            (weather.moves, self._move),
            (weather.rivals, self._meet_rival),
        ):
            if self._rolls(rate):
                self._later(self._chance.uniform(0, within_seconds), act)

    def _dequeue(self) -> None:
        if self.journey.state is State.IDLE:
            self._plan += 1  # whatever comes of its enqueue, it is not repeated
        self._send(Dequeue())

    def _lose_link(self) -> None:
        self._connection = None
        if self.journey.settled:  # else it has not been back since
            self._away_since = asyncio.get_running_loop().time()
        self._plan += 1
        self.journey.link_lost()

    def _drop(self) -> None:
        if self._connection and self._connection.usable:
            self._trace.note(self.player_id, "drops", f"#{self._connection.number}")
            self._connection.drop(self._chance.choice(_NOTICED_SECONDS))
            self._lose_link()
            self._later(self._chance.uniform(0, 1.2), self.arrive, whatever=True)

    def _vanish(self) -> None:
        self.gone = True
        if self._connection and self._connection.usable:
            self._trace.note(self.player_id, "vanishes", f"#{self._connection.number}")
            self._connection.drop(self._chance.choice(_NOTICED_SECONDS))
        for connection in self.older:
            connection.drop(0.0)

    def _close(self) -> None:
        if self._connection and self._connection.usable:
            self._trace.note(self.player_id, "closes", f"#{self._connection.number}")
            self._connection.leave()
        self._vanish()

    def _move(self) -> None:
        """Open a second connection while the first stands."""
        if self._connection and self._connection.usable and self.journey.state in {State.QUEUED, State.LOADING}:
            older = self._connection
            self.older.append(older)
            self._lose_link()
            self._connect()
            if self._chance.random() < 0.5:
                self._later(self._chance.uniform(0, 0.1), lambda: self._end_older(older), whatever=True)

    def _end_older(self, older: Connection) -> None:
        """Close a connection that a newer one has replaced: politely only once that one owns the player."""
        newer = self._connection
        owned = newer is not None and newer.usable and self.journey.settled
        if older.usable and owned and self._chance.random() < 0.5:
            older.leave()
        elif older.usable:
            older.drop(0.0)

    def _meet_rival(self) -> None:
        if node := self._pick_node():
            self.robbed = True
            rival = _Rival(self.player_id, self._trace, self._on_violation)
            connection = Connection(rival, number=0, chance=self._chance)
            node.serve(connection)
            connection.send(protocol.encode(Enqueue(player_id=self.player_id, game_mode=self.journey.game_mode)))
            asyncio.get_running_loop().call_later(self._chance.uniform(0.2, 1.0), connection.leave)

    def _repeat(self) -> None:
        """Send something once more, or out of place; none of it may change anything."""
        journey = self.journey
        if journey.state is State.QUEUED and journey.settled and not journey.leaving:
            self._raw(journey.enqueue())
        elif journey.state is State.MATCHED and journey.loading is not None:
            self._raw(journey.loading_complete())

    def _play_again(self) -> None:
        if self._connection and self._connection.usable:
            self._send(self.journey.enqueue())
        else:
            self.journey = self._new_journey(self.journey.game_mode)
            self._violations = 0
            self.arrive()

    # --- helpers ---

    def _new_journey(self, game_mode: str) -> Journey:
        return Journey(self.player_id, game_mode, brings=self._brings, clock=lambda: 0.0)

    def _over(self) -> bool:
        return self.journey.state in {State.MATCHED, State.LEFT, State.REFUSED}

    def _rolls(self, rate: float) -> bool:
        return rate > 0 and self._chance.random() < rate

    def _send(self, message: ClientMessage) -> None:
        self.journey.sent(message)
        self._raw(message)

    def _raw(self, message: ClientMessage) -> None:
        connection = self._connection
        if connection and connection.usable:
            self._trace.note(self.player_id, f"says #{connection.number}", message.type)
            claims = isinstance(message, Enqueue | Resume)
            connection.send(protocol.encode(message), (lambda: self._note_claim(connection)) if claims else None)

    def _note_claim(self, connection: Connection) -> None:
        self._last_claimed = connection

    def _later(self, seconds: float, act: Act, *, whatever: bool = False) -> None:
        """Do it after a while; not if things have changed meanwhile, unless `whatever` they are."""
        plan = self._plan

        def do() -> None:
            if not self.gone and (whatever or plan == self._plan):
                act()

        asyncio.get_running_loop().call_later(seconds, do)


class _Rival:
    """Somebody who enqueues under another's name, without its token: told that it is there, and nothing else."""

    def __init__(self, player_id: str, trace: Trace, on_violation: Callable[[str], None]) -> None:
        self._player_id = player_id
        self._trace = trace
        self._on_violation = on_violation
        self._refused = False

    def on_frame(self, _connection: Connection, data: bytes) -> None:
        self._trace.note(f"{self._player_id}'s rival", "hears", data)
        message = protocol.decode_server(data)
        if isinstance(message, protocol.Error):
            self._refused = self._refused or message.code is ErrorCode.ALREADY_IN_QUEUE
        elif self._refused:
            self._on_violation(f"{self._player_id}: a rival, refused, hears {message.type}")

    def on_closed(self, _connection: Connection, _code: int) -> None:
        """It had its chance."""
