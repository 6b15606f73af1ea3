"""A process of players: test_client's swarms, wave after wave in several lanes; after SIGTERM the last ones end."""

import argparse
import asyncio
import signal
import time
from random import Random

import uvloop

from test_client.behaviours import BEHAVIOURS, DropsLink, Normal
from test_client.checks import sessions_told
from test_client.distributions import Distribution
from test_client.options import SwarmOptions
from test_client.player import INTERRUPTED
from test_client.summary import NORMAL, summarize
from test_client.swarm import Swarm
from tests.soak.waves import Match, Player, Wave, write_wave

MIX = {name: 6.0 if name == Normal.name else 1.0 for name in BEHAVIOURS}
LOADING = Distribution("uniform", (0.05, 0.4))
_LOOK_SECONDS = 0.2


class Crowd:
    """Lanes of waves. `run` returns when each lane's last wave after `stop` is over."""

    def __init__(self, options: SwarmOptions, *, match_size: int, lanes: int) -> None:
        """`options` are those of each wave, but for its seed and its players' names."""
        self._options = options
        self._match_size = match_size
        self._lanes = lanes
        self._stopping = False

    def stop(self) -> None:
        """Begin no more waves."""
        self._stopping = True

    async def run(self) -> None:
        """Play."""
        async with asyncio.TaskGroup() as group:
            for lane in range(self._lanes):
                group.create_task(self._play(lane))

    async def _play(self, lane: int) -> None:
        number = 0
        while not self._stopping:
            print(write_wave(await self._wave(f"{self._options.game_mode}-{lane}-{number}")), flush=True)
            number += 1

    async def _wave(self, name: str) -> Wave:
        options = self._options
        swarm = Swarm(
            SwarmOptions(
                urls=options.urls,
                players=options.players,
                game_mode=options.game_mode,
                mix=options.mix,
                seed=Random(f"{options.seed}/{name}").getrandbits(32),  # noqa: S311 - a simulation, no secret
                rate=options.rate,
                loading=options.loading,
                match_size=self._match_size,
                player_prefix=name,
            )
        )
        broken: list[float] = []
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_watch_links(swarm, broken))
            await swarm.run()
            watching.cancel()
        return _told(swarm, name, began, broken)


async def _watch_links(swarm: Swarm, broken: list[float]) -> None:
    """Note when links are lost that the players did not cut themselves."""
    while True:
        lost = sum(p.journey.links_lost for p in swarm.players if p.behaviour.name != DropsLink.name)
        broken += [time.monotonic()] * (lost - len(broken))
        await asyncio.sleep(_LOOK_SECONDS)


def _told(swarm: Swarm, name: str, began: float, broken: list[float]) -> Wave:
    summary = summarize(swarm)
    found = summary.latency_ms[NORMAL]["match_found"]
    told = [members[0].journey.match for members in sessions_told(swarm.players).values()]
    return Wave(
        name=name,
        game_mode=swarm.options.game_mode,
        match_size=swarm.match_size or 0,
        began=began,
        ended=time.monotonic(),
        players={
            player.journey.player_id: Player(
                behaviour=player.behaviour.name,
                fate=player.fate or INTERRUPTED,
                places_lost=player.journey.places_lost,
            )
            for player in swarm.players
        },
        matches=tuple(
            Match(
                session_id=match.session_id,
                loading_session_id=match.loading_session_id,
                server_address=match.server_address,
                players=tuple(match.players),
            )
            for match in told
            if match is not None
        ),
        violations=tuple(f"{violation.player_id}: {violation.text}" for violation in summary.violations),
        errors=dict(summary.errors),
        broken_links=tuple(broken),
        p99_ms=found.p99 if found else None,
    )


async def _run_until_sigterm(crowd: Crowd) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, crowd.stop)
    await crowd.run()


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.crowd")
    parser.add_argument("--urls", required=True, help="separated by commas")
    parser.add_argument("--game-mode", required=True)
    parser.add_argument("--match-size", type=int, required=True)
    parser.add_argument("--players", type=int, required=True, help="of a wave")
    parser.add_argument("--lanes", type=int, required=True, help="waves at a time")
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    options = SwarmOptions(
        urls=tuple(given.urls.split(",")),
        players=given.players,
        game_mode=given.game_mode,
        mix=MIX,
        seed=given.seed,
        rate=float(given.players),  # a wave arrives within a second
        loading=LOADING,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run_until_sigterm(Crowd(options, match_size=given.match_size, lanes=given.lanes)))


if __name__ == "__main__":
    main()
