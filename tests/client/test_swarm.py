"""Whole runs against the fake matchmaker: right ones, wrong ones, and faults of the link."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import jwt
import pytest
from websockets.asyncio.server import ServerConnection, broadcast

from match_server.protocol import Dequeue, Enqueue, ErrorCode, Resume
from test_client import client
from test_client.behaviours import BEHAVIOURS, ONLY_IN_PARTIES
from test_client.distributions import parse_distribution
from test_client.objectives import Limits, judge
from test_client.options import SwarmOptions
from test_client.report import passed
from test_client.summary import Summary, summarize
from test_client.swarm import Swarm
from tests.client.fake_matchmaker import FakeMatchmaker, Player, Session

ALONE = BEHAVIOURS.keys() - ONLY_IN_PARTIES
KEY = "a key of thirty-two bytes or more!"


def run(
    fake: FakeMatchmaker, *, nodes: int = 1, during: Callable[[Swarm], None] | None = None, **options: Any
) -> Summary:
    """Run players against `fake`, and sum up."""

    async def scenario() -> Swarm:
        async with AsyncExitStack() as stack:
            for _ in range(nodes):
                await stack.enter_async_context(fake.running())
            defaults: dict[str, Any] = {"loading": parse_distribution("0.01"), "player_prefix": "p", "seed": 1}
            swarm = Swarm(SwarmOptions(urls=tuple(fake.urls), **{**defaults, **options}))
            if during is not None:
                during(swarm)
            await swarm.run()
            return swarm

    return summarize(asyncio.run(scenario()))


def met(summary: Summary, **limits: Any) -> dict[str, bool]:
    return {objective.name: objective.met for objective in judge(summary, Limits(**limits))}


def test_every_behaviour_comes_to_its_end() -> None:
    summary = run(
        FakeMatchmaker(loading_timeout_seconds=0.9),
        players=40,
        mix={name: 4 if name == "normal" else 1 for name in ALONE},
        loading=parse_distribution("uniform:0:0.05"),
    )
    assert summary.violations == []
    assert summary.unexpected == []
    assert summary.links_lost > 0
    assert summary.places_lost == 0
    assert set(summary.fates) == ALONE
    assert all(fates for fates in summary.fates.values())
    assert passed(summary, judge(summary, Limits()))


def test_players_come_at_a_rate_and_spread_over_the_nodes() -> None:
    fake = FakeMatchmaker()
    summary = run(fake, nodes=2, players=4, rate=200.0)
    assert summary.fates == {"normal": {"matched": 4}}
    assert summary.matches == 2
    assert summary.matches_per_second > 0
    assert len({handshake.headers["Host"] for handshake in fake.handshakes}) == 2


def test_the_odd_one_out_leaves_when_the_others_are_done() -> None:
    summary = run(FakeMatchmaker(), players=5)
    assert summary.fates == {"normal": {"matched": 4, "left_waiting": 1}}
    assert summary.match_size == 2
    assert all(met(summary).values())


def test_alone_it_leaves_at_the_deadline() -> None:
    summary = run(FakeMatchmaker(), players=1, deadline_seconds=0.1)
    assert summary.fates == {"normal": {"left_waiting": 1}}
    assert summary.match_size is None


def test_past_the_deadline_a_loading_session_may_still_time_out() -> None:
    fake = FakeMatchmaker(loading_timeout_seconds=0.3)
    summary = run(fake, players=2, mix={"normal": 1, "never-loads": 1}, deadline_seconds=0.1)
    assert summary.fates == {"normal": {"left_waiting": 1}, "never-loads": {"dequeued:loading_timeout": 1}}
    assert all(met(summary).values())


def test_alone_it_leaves_at_once_if_it_knows_how_many_make_a_match() -> None:
    summary = run(FakeMatchmaker(), players=1, match_size=2)
    assert summary.fates == {"normal": {"left_waiting": 1}}


class NeverMatches(FakeMatchmaker):
    def try_match(self) -> None:
        pass


def test_a_queue_that_never_matches_is_no_success() -> None:
    summary = run(NeverMatches(), players=4, deadline_seconds=0.1)
    assert summary.fates == {"normal": {"left_waiting": 4}}
    assert not met(summary)["max_left_waiting"]
    assert met(summary, max_left_waiting=4)["max_left_waiting"]
    assert not met(summary, max_p99_ms=10_000)["max_p99_ms"]  # nothing was measured


class LosesAPlayer(FakeMatchmaker):
    """Says `queued` to the first one, and forgets it."""

    def try_match(self) -> None:
        if len(self.players) == 1:
            self.queue.clear()
        super().try_match()

    def dequeue(self, player: Player) -> None:
        if player.player_id != next(iter(self.players)):
            super().dequeue(player)


def test_a_player_without_a_stated_end_is_lost() -> None:
    summary = run(LosesAPlayer(), players=3, deadline_seconds=0.3)
    assert summary.fates == {"normal": {"matched": 2, "lost": 1}}
    assert not met(summary)["max_lost"]
    assert met(summary, max_lost=1)["max_lost"]


class MatchesTwice(FakeMatchmaker):
    def found(self, session: Session) -> None:
        super().found(session)
        super().found(session)  # with a session_id of its own


def test_a_double_match_is_a_violation() -> None:
    summary = run(MatchesTwice(), players=2)
    assert summary.fates == {"normal": {"violation": 2}}
    assert "two matches for one enqueue" in summary.violations[0].text
    assert not met(summary)["max_violations"]


def test_a_refused_enqueue_is_no_end_that_a_player_should_have() -> None:
    summary = run(FakeMatchmaker(), players=2, game_mode="No_such_mode")
    assert summary.fates == {"normal": {"refused:invalid_game_mode": 2}}
    assert len(summary.unexpected) == 2
    assert not met(summary)["max_unexpected"]
    assert summary.errors == {"invalid_game_mode": 2}


class BusyAtFirst(FakeMatchmaker):
    """Refuses each player's first enqueue, though it may have taken effect."""

    def __init__(self, *, took_effect: bool) -> None:
        super().__init__()
        self.took_effect = took_effect

    def enqueue(self, link: ServerConnection, message: Enqueue) -> None:
        first = sum(message == other for other in self.received) == 1
        if first:
            self.refuse(link, ErrorCode.SERVER_BUSY, retry_after_seconds=0.01)
        if self.took_effect or not first:
            super().enqueue(link, message)


@pytest.mark.parametrize("took_effect", [False, True])
def test_a_busy_service_is_asked_again(took_effect: bool) -> None:
    summary = run(BusyAtFirst(took_effect=took_effect), players=2)
    assert summary.fates == {"normal": {"matched": 2}}
    assert summary.errors["server_busy"] == 2
    assert summary.violations == []


def test_a_service_that_stays_busy_has_refused() -> None:
    class Busy(FakeMatchmaker):
        def enqueue(self, link: ServerConnection, message: Enqueue) -> None:
            self.refuse(link, ErrorCode.SERVER_BUSY, retry_after_seconds=60)

    summary = run(Busy(), players=2, deadline_seconds=0.1)
    assert summary.fates == {"normal": {"refused:server_busy": 2}}


class ClosesOnce(FakeMatchmaker):
    """Closes each player's first connection as soon as it is queued."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def handle(self, link: ServerConnection, message: Any) -> None:
        super().handle(link, message)
        if self.received.count(message) == 1 and isinstance(message, Enqueue):
            asyncio.get_running_loop().create_task(link.close(self.code))


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013])
def test_comes_back_with_resume_after(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RESTART_SPREAD_SECONDS", 0.01)
    monkeypatch.setattr(client, "RETURN_SPREAD_SECONDS", 0.01)
    fake = ClosesOnce(code)
    summary = run(fake, players=2)
    assert summary.fates == {"normal": {"matched": 2}}
    assert summary.violations == []
    assert summary.links_lost == 2
    assert sum(isinstance(message, Resume) for message in fake.received) == 2


@pytest.mark.parametrize("code", [1008, 4000, 4401])
def test_does_not_come_back_after(code: int) -> None:
    summary = run(ClosesOnce(code), players=1)
    assert summary.fates == {"normal": {f"refused:closed_{code}": 1}}


def test_a_lost_place_is_counted_and_the_player_enqueues_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgets(ClosesOnce):
        def resume(self, link: ServerConnection, message: Resume) -> None:
            self.players.clear()
            self.queue.clear()
            super().resume(link, message)

    monkeypatch.setattr(client, "RETURN_SPREAD_SECONDS", 0.01)
    summary = run(Forgets(1011), players=1, deadline_seconds=0.3)
    assert summary.places_lost == 1
    assert not met(summary)["max_places_lost"]
    assert summary.fates == {"normal": {"left_waiting": 1}}


def test_nobody_there_is_a_refusal_at_the_deadline() -> None:
    async def closed_port() -> str:
        async with FakeMatchmaker().running() as fake:
            return fake.url

    swarm = Swarm(SwarmOptions(urls=(asyncio.run(closed_port()),), players=2, deadline_seconds=0.2))
    asyncio.run(swarm.run())
    assert summarize(swarm).fates == {"normal": {"refused:unreachable": 2}}


def test_players_prove_who_they_are() -> None:
    fake = FakeMatchmaker()
    run(fake, players=2, player_key=KEY)
    tokens = [handshake.headers["Authorization"].removeprefix("Bearer ") for handshake in fake.handshakes]
    assert {jwt.decode(token, KEY, algorithms=["HS256"])["sub"] for token in tokens} == {"p-0", "p-1"}


def test_stopped_players_leave_and_are_interrupted() -> None:
    class StopsAtTheSecond(NeverMatches):
        swarm: Swarm

        def enqueue(self, link: ServerConnection, message: Enqueue) -> None:
            super().enqueue(link, message)
            if len(self.players) == 2:
                self.swarm.stop()

    fake = StopsAtTheSecond()
    summary = run(fake, players=4, rate=100.0, during=lambda swarm: setattr(fake, "swarm", swarm))
    assert summary.interrupted
    assert summary.total("interrupted") == 4
    assert summary.violations == []
    assert fake.players == {}  # each connection ended with a close frame
    assert not passed(summary, judge(summary, Limits()))


def test_a_bug_in_a_player_ends_the_run() -> None:
    class Bug(Exception):
        pass

    def fail(swarm: Swarm) -> None:
        def broken(*_args: Any) -> None:
            raise Bug

        swarm._on_told = broken  # type: ignore[assignment, method-assign] # the bug

    with pytest.raises(ExceptionGroup) as failure:
        run(FakeMatchmaker(), players=2, during=fail)
    assert failure.group_contains(Bug)


@pytest.mark.parametrize(("behaviour", "fate"), [("quits-in-queue", "dequeued:requested"), ("normal", "left_waiting")])
def test_a_dequeue_that_went_down_with_the_link_is_sent_again(
    behaviour: str, fate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LosesTheFirstDequeue(FakeMatchmaker):
        def handle(self, link: ServerConnection, message: Any) -> None:
            if isinstance(message, Dequeue) and self.received.count(message) == 1:
                link.transport.abort()
            else:
                super().handle(link, message)

    monkeypatch.setattr(client, "RETURN_SPREAD_SECONDS", 0.01)
    fake = LosesTheFirstDequeue()
    summary = run(fake, players=1, mix={behaviour: 1}, deadline_seconds=0.5)
    assert summary.fates == {behaviour: {fate: 1}}
    assert summary.violations == []


def test_the_dedicated_server_welcomes_a_player() -> None:
    class AlsoADedicatedServer(FakeMatchmaker):
        """Welcomes whoever comes to play."""

        async def _serve(self, link: ServerConnection) -> None:
            if link.request is not None and link.request.path == "/play":
                broadcast([link], '{"type": "welcome"}')
                await link.wait_closed()
            else:
                await super()._serve(link)

        def found(self, session: Session) -> None:
            self._server_address = self.url.replace("/ws/", "/play")
            super().found(session)

    assert run(AlsoADedicatedServer(), players=2, join=True).fates == {"normal": {"matched": 2}}
