"""Many simulated players at once: who comes when, with which behaviour, and when the last ones may go."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any

from match_server.protocol import MatchFound
from test_client.behaviours import BEHAVIOURS, ONLY_IN_PARTIES, GathersLate, Normal
from test_client.client import PlayerClient
from test_client.journey import Journey
from test_client.options import SwarmOptions, arrivals, deal
from test_client.play import RoomVisit
from test_client.player import ANSWER_SECONDS, Patience, SimulatedPlayer
from test_client.rooms import RoomLedger
from test_client.states import State
from test_client.tickets import LATENCY, Brought, deal_parties

HANDSHAKES_AT_ONCE = 100
TOKEN_SECONDS = 3600


class Swarm:
    """A run of simulated players. `run` starts and ends every task; `stop` ends them early.

    Each player's chance is its own, made of the seed and its number, so a run repeats as far as the service does.
    """

    def __init__(self, options: SwarmOptions) -> None:
        self.options = options
        self.players: list[SimulatedPlayer] = []
        self.rooms = RoomLedger()
        self.match_size = options.match_size  # None until the service has shown a match
        self.stopped = False
        self.seconds = 0.0  # how long the run took
        self._manners: list[str] = []  # in their rooms, by number
        self._alive: set[SimulatedPlayer] = set()
        self._ended: dict[SimulatedPlayer, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Let every player arrive, and return when the last one has its fate.

        Anything but the expected ends of a connection is a bug: its exception ends the run.
        """
        started = time.monotonic()
        gate = asyncio.Semaphore(HANDSHAKES_AT_ONCE)
        rng = Random(self.options.seed)  # noqa: S311 - no secret
        names = deal(self.options.mix, self.options.players, rng)
        play_rng = Random(f"{self.options.seed}/play")  # noqa: S311 - no secret
        self._manners = deal(self.options.play_mix, self.options.players, play_rng)
        for first, size in enumerate_parties(deal_parties(self.options.parties, len(names), rng)):
            members = [
                self._make_player(number, name, gate, party=(first, size))
                for number, name in enumerate(behave_in_party(names[first : first + size]), first)
            ]
            for member in members:
                member.mates = tuple(mate for mate in members if mate is not member)
            self.players += members
        self._alive = set(self.players)
        self._ended = {player: asyncio.Event() for player in self.players}
        async with asyncio.TaskGroup() as group:
            for player, seconds in zip(self.players, arrivals(len(names), self.options.rate), strict=True):
                self._tasks.append(group.create_task(self._live(player, seconds)))
        self.seconds = time.monotonic() - started

    def stop(self) -> None:
        """End now: players without a fate leave the service and count as `interrupted`."""
        self.stopped = True
        for task in self._tasks:
            task.cancel()

    def count(self) -> Counter[str]:
        """How many players are where: the fates of those who ended, the states of the others."""
        return Counter(player.fate or player.journey.state.value for player in self.players)

    @property
    def trouble(self) -> str:
        """Why no player has come in yet, in the words of a node or of this system; empty once one has."""
        if any(player.journey.times.enqueued is not None for player in self.players):
            return ""
        return next((player.refused_with for player in self.players if player.refused_with), "")

    async def _live(self, player: SimulatedPlayer, arrival_seconds: float) -> None:
        await asyncio.sleep(arrival_seconds)
        if player.behaviour.name == GathersLate.name:
            await self._mates_have_ended(player)
        await player.run()
        self._ended[player].set()
        self._alive.discard(player)
        self._release_leftovers()

    async def _mates_have_ended(self, player: SimulatedPlayer) -> None:
        for mate in player.mates:
            if mate.behaviour.name != GathersLate.name:
                await self._ended[mate].wait()

    def _release_leftovers(self) -> None:
        """With fewer players left than make a match, those in the queue wait for nobody."""
        if self.match_size is None or len(self._alive) >= self.match_size:
            return
        for player in self._alive:
            if player.journey.state in {State.GATHERING, State.QUEUED}:
                player.give_up_waiting()

    def _on_told(self, player: SimulatedPlayer) -> None:
        loading = player.journey.loading
        if self.match_size is None and loading is not None and loading.players:
            self.match_size = len(loading.players)
        self._release_leftovers()

    def _make_player(
        self, number: int, name: str, gate: asyncio.Semaphore, *, party: tuple[int, int]
    ) -> SimulatedPlayer:
        """`party`: the number of its first member, and its size."""
        options = self.options
        rng = Random(f"{options.seed}/{number}")  # noqa: S311 - simulation, no secret
        player_id = f"{options.player_prefix}-{number}"
        first = number % len(options.urls)
        token = _mint(player_id, options) if options.player_key else None
        drawn: dict[str, Any] = {attribute: draw.sample(rng) for attribute, draw in options.attributes.items()}
        if options.latencies is not None:
            drawn[LATENCY] = options.latencies.sample(rng)
        leader, size = party
        party_id = f"{options.player_prefix}-{leader}-party" if size > 1 else None
        journey = Journey(player_id, options.game_mode, brings=Brought(drawn, party_id, size))
        client = PlayerClient(
            journey,
            options.urls[first:] + options.urls[:first],
            token=token,
            gate=gate,
        )
        return SimulatedPlayer(
            client,
            BEHAVIOURS[name](journey, options.loading, rng),
            patience=Patience(options.deadline_seconds, min(ANSWER_SECONDS, options.deadline_seconds)),
            rng=rng,
            play=partial(self._play, number, player_id) if options.join else None,
            on_told=self._on_told,
        )

    async def _play(self, number: int, player_id: str, found: MatchFound) -> str | None:
        visit = RoomVisit(
            found,
            player_id,
            ledger=self.rooms,
            seconds=self.options.play_seconds,
            move_hz=self.options.move_hz,
            manner=self._manners[number],
            form=self.options.frames,
            rng=Random(f"{self.options.seed}/{number}/play"),  # noqa: S311 - simulation, no secret
        )
        return await visit.run()


def behave_in_party(names: Sequence[str]) -> list[str]:
    """The behaviours of one party: those that need mates have some, and somebody is there who does not come late."""
    if len(names) == 1:
        return [Normal.name if names[0] in ONLY_IN_PARTIES else names[0]]
    all_late = all(name == GathersLate.name for name in names)
    return [Normal.name, *names[1:]] if all_late else list(names)


def enumerate_parties(sizes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """For each party the number of its first member, and its size."""
    first = 0
    for size in sizes:
        yield first, size
        first += size


def _mint(player_id: str, options: SwarmOptions) -> str:
    """Make the JWT that proves a player; it outlives the run."""
    import jwt  # noqa: PLC0415 - a tenth of a second at the start, for those alone who use it

    lasting = TOKEN_SECONDS + options.deadline_seconds + options.players / (options.rate or math.inf)
    return jwt.encode({"sub": player_id, "exp": int(time.time() + lasting)}, options.player_key, algorithm="HS256")
