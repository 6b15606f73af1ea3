"""The ticker: who waits is looked at, by one node, and nobody else. On virtual time."""

import asyncio
from collections.abc import Mapping, Sequence, Set
from typing import Any, cast

from match_server.actors.core import Actor, ActorSystem
from match_server.actors.matchmaker import MatchmakerMessage, Tick
from match_server.actors.ticker import MAILBOX_LIMIT, Ticker
from match_server.errors import StoreUnavailable
from match_server.store.upkeep import UpkeepStore
from tests.unit.virtual_time import run

TICK_SECONDS = 0.1


class Matchmaker(Actor[MatchmakerMessage]):
    def __init__(self, name: str, ticked: list[str]) -> None:
        self._name = name
        self._ticked = ticked

    async def receive(self, batch: Sequence[MatchmakerMessage]) -> None:
        self._ticked += [self._name for message in batch if isinstance(message, Tick)]


class Upkeep:
    """Says which modes are due, or raises."""

    def __init__(self, answers: list[list[str] | StoreUnavailable]) -> None:
        self._answers = answers
        self.asked: list[int] = []
        self.not_formed: list[dict[str, bool]] = []

    async def due_modes(self, *, period_us: int, not_formed: Mapping[str, bool]) -> list[str]:
        self.asked.append(period_us)
        self.not_formed.append(dict(not_formed))
        answer = self._answers.pop(0) if self._answers else []
        if isinstance(answer, StoreUnavailable):
            raise answer
        return answer


def ticks(
    answers: list[list[str] | StoreUnavailable], *, seconds: float, differing: Set[str] = frozenset()
) -> tuple[list[str], Upkeep]:
    async def scenario() -> tuple[list[str], Upkeep]:
        upkeep, ticked = Upkeep(answers), list[str]()

        def matchmaker(name: str) -> Any:
            return system.spawn(name, lambda: Matchmaker(name, ticked), mailbox_limit=10, phase=0)

        async with ActorSystem() as system:
            matchmakers = {name: matchmaker(name) for name in ("duel", "trio")}
            system.spawn(
                "ticker",
                lambda: Ticker(
                    upkeep=cast("UpkeepStore", upkeep),
                    matchmakers=matchmakers,
                    differing=differing,
                    tick_seconds=TICK_SECONDS,
                ),
                mailbox_limit=MAILBOX_LIMIT,
                phase=0,
            )
            await asyncio.sleep(seconds)
            await system.stop(1)
        return ticked, upkeep

    return run(scenario())


def test_the_modes_that_are_due_are_ticked_and_no_other() -> None:
    ticked, _ = ticks([["trio"], [], ["trio", "duel"]], seconds=0.35)
    assert ticked == ["trio", "trio", "duel"]


def test_it_asks_once_per_period_however_many_modes_there_are() -> None:
    _, upkeep = ticks([], seconds=1.05)
    assert upkeep.asked == [100_000] * 10


def test_a_mode_of_another_node_is_left_to_it() -> None:
    ticked, upkeep = ticks([["elsewhere", "duel"]], seconds=0.25)
    assert ticked == ["duel"]
    assert upkeep.not_formed == [{}, {"elsewhere": False}]


def test_a_mode_that_is_not_the_pools_is_asked_for_to_place_its_matches_alone() -> None:
    _, upkeep = ticks([], seconds=0.15, differing={"duel"})
    assert upkeep.not_formed == [{"duel": True}]


def test_while_redis_is_away_it_goes_on_asking() -> None:
    ticked, _ = ticks([StoreUnavailable("away"), ["duel"]], seconds=0.25)
    assert ticked == ["duel"]
