"""Many simulated players at once: who comes when, with which behaviour, and when the last ones may go."""

import asyncio
import math
import time
from collections import Counter
from random import Random

from test_client.behaviours import BEHAVIOURS
from test_client.client import PlayerClient
from test_client.journey import Journey, State
from test_client.options import SwarmOptions, arrivals, deal
from test_client.player import ANSWER_SECONDS, Patience, SimulatedPlayer

HANDSHAKES_AT_ONCE = 100
TOKEN_SECONDS = 3600


class Swarm:
    """A run of simulated players. `run` starts and ends every task; `stop` ends them early.

    Each player's chance is its own, made of the seed and its number, so a run repeats as far as the service does.
    """

    def __init__(self, options: SwarmOptions) -> None:
        self.options = options
        self.players: list[SimulatedPlayer] = []
        self.match_size = options.match_size  # None until the service has shown a match
        self.stopped = False
        self.seconds = 0.0  # how long the run took
        self._alive: set[SimulatedPlayer] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Let every player arrive, and return when the last one has its fate.

        Anything but the expected ends of a connection is a bug: its exception ends the run.
        """
        started = time.monotonic()
        gate = asyncio.Semaphore(HANDSHAKES_AT_ONCE)
        names = deal(self.options.mix, self.options.players, Random(self.options.seed))  # noqa: S311 - no secret
        self.players = [self._make_player(number, name, gate) for number, name in enumerate(names)]
        self._alive = set(self.players)
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

    async def _live(self, player: SimulatedPlayer, arrival_seconds: float) -> None:
        await asyncio.sleep(arrival_seconds)
        await player.run()
        self._alive.discard(player)
        self._release_leftovers()

    def _release_leftovers(self) -> None:
        """With fewer players left than make a match, those in the queue wait for nobody."""
        if self.match_size is None or len(self._alive) >= self.match_size:
            return
        for player in self._alive:
            if player.journey.state is State.QUEUED:
                player.give_up_waiting()

    def _on_told(self, player: SimulatedPlayer) -> None:
        loading = player.journey.loading
        if self.match_size is None and loading is not None and loading.players:
            self.match_size = len(loading.players)
        self._release_leftovers()

    def _make_player(self, number: int, name: str, gate: asyncio.Semaphore) -> SimulatedPlayer:
        options = self.options
        rng = Random(f"{options.seed}/{number}")  # noqa: S311 - simulation, no secret
        player_id = f"{options.player_prefix}-{number}"
        first = number % len(options.urls)
        token = _mint(player_id, options) if options.player_key else None
        journey = Journey(player_id, options.game_mode)
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
            play_seconds=options.play_seconds if options.join else None,
            on_told=self._on_told,
        )


def _mint(player_id: str, options: SwarmOptions) -> str:
    """Make the JWT that proves a player; it outlives the run."""
    import jwt  # noqa: PLC0415 - a tenth of a second at the start, for those alone who use it

    lasting = TOKEN_SECONDS + options.deadline_seconds + options.players / (options.rate or math.inf)
    return jwt.encode({"sub": player_id, "exp": int(time.time() + lasting)}, options.player_key, algorithm="HS256")
