"""Metrics, without a Redis."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

import match_server
from match_server.errors import StoreUnavailable
from match_server.events import node
from match_server.matching.modes import GameMode
from match_server.store.operators import OperatorStore, QueueStatus
from match_server.store.registry import RegistryStore, ServerStatus
from match_server.web.metrics import Metrics
from tests.shared.modes import game_modes

MODE = "Normal_1v1"
MODES = game_modes(GameMode(MODE, 2), GameMode("ranked", 2, rules=()))


class FakeOperators(OperatorStore):
    def __init__(self) -> None:
        self.away = False
        self.waiting = 7

    async def queues(self, game_modes: Sequence[str]) -> list[QueueStatus]:
        if self.away:
            raise StoreUnavailable("away")
        return [
            QueueStatus(
                game_mode=mode,
                waiting=self.waiting,
                held=2,
                oldest_wait_seconds=1.5,
                loading_sessions=3,
                allocating_sessions=1,
                unplaced_sessions=0,
                matches_last_minute=9,
                paused=False,
                free_slots=0,
                tickets=0,
                wait_percentiles=None,
            )
            for mode in game_modes
        ]


class FakeRegistry(RegistryStore):
    def __init__(self) -> None:
        self.away = False

    async def servers(self) -> list[ServerStatus]:
        if self.away:
            raise StoreUnavailable("away")
        return [
            ServerStatus(
                server_id=f"s{n}", lease_seconds_left=9, active=n, reserved=1, free=10, retry_seconds=None, record={}
            )
            for n in (1, 2)
        ]


class Page:
    def __init__(self) -> None:
        self.events = node.Events()
        self.metrics, self.operators, self.registry = Metrics(self.events), FakeOperators(), FakeRegistry()

    def record(self, *events: node.NodeEvent) -> None:
        for event in events:
            self.events.record(event)

    def read(self, *, lag_seconds: float | None = 0.01, ready: bool = True) -> dict[str, float]:
        text = asyncio.run(
            self.metrics.render(
                operators=self.operators,
                registry=self.registry,
                game_modes=MODES,
                connections=5,
                depths={"session": 4, "matchmaker": 1},
                lag_seconds=lag_seconds,
                ready=ready,
            )
        ).decode()
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found


def test_queues_and_servers_are_read_when_asked_for() -> None:
    found = Page().read()
    expected = {
        f"match_queue_length{{game_mode={MODE}}}": 7,
        f"match_queue_held{{game_mode={MODE}}}": 2,
        f"match_queue_oldest_wait_seconds{{game_mode={MODE}}}": 1.5,
        f"match_loading_sessions{{game_mode={MODE}}}": 3,
        f"match_allocating_sessions{{game_mode={MODE}}}": 1,
        "match_servers": 2,
        "match_server_slots{state=free}": 20,
        "match_server_slots{state=reserved}": 2,
        "match_server_slots{state=active}": 3,
        "match_connections": 5,
        "match_mailbox_depth{actor=session}": 4,
        "match_mailbox_depth{actor=matchmaker}": 1,
        "match_notification_lag_seconds": 0.01,
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("part", ["operators", "registry"])
def test_while_redis_is_away_what_is_read_from_it_is_absent_and_never_old(part: str) -> None:
    page = Page()
    page.read()
    getattr(page, part).away = True
    found = page.read(ready=False)
    assert found["match_connections"] == 5
    assert (found["match_redis_up"], found["match_ready"]) == (0, 0)
    assert [name for name in found if name.startswith(("match_queue_", "match_server", "match_loading_sessions"))] == []


def test_once_redis_is_back_it_is_read_again() -> None:
    page = Page()
    page.operators.away = True
    page.read()
    page.operators.away = False
    found = page.read()
    assert (found["match_redis_up"], found["match_ready"]) == (1, 1)
    assert found["match_servers"] == 2


def test_without_a_heartbeat_over_pubsub_its_lag_is_absent() -> None:
    page = Page()
    page.read()
    assert "match_notification_lag_seconds" not in page.read(lag_seconds=None)


def test_matches_are_counted_with_the_wait_of_each_player() -> None:
    page = Page()
    page.record(
        node.MatchesFormed(MODE, 2, (100_000, 200_000, 300_000, 6_000_000)),
        node.MatchConfirmed(MODE, "L1", "S1", "s1", ("ann", "bob"), 1500),
        node.MatchConfirmed(MODE, "L2", "S2", "s1", ("cid", "dan"), None),
    )
    found = page.read()
    assert found[f"match_formed_total{{game_mode={MODE}}}"] == 2
    assert found[f"match_time_to_match_seconds_count{{game_mode={MODE}}}"] == 4
    assert found[f"match_time_to_match_seconds_sum{{game_mode={MODE}}}"] == pytest.approx(6.6)
    assert found[f"match_time_to_match_seconds_bucket{{game_mode={MODE},le=0.25}}"] == 2
    assert found["match_found_total"] == 2
    assert found["match_time_to_session_seconds_count"] == 1


def test_calls_frames_and_scripts_are_counted_by_kind() -> None:
    page = Page()
    page.record(*(node.SessionAsked(outcome, 0.2) for outcome in ("created", "created", "unknown")))
    page.record(*(node.FrameDelivered(kind, "ann", "c") for kind in ("queued", "queued", "match_found")))
    page.record(*(node.ScriptsRan(script, 0.001) for script in ("enqueue", "enqueue", "ready")))
    found = page.read()
    assert found["match_allocation_seconds_count{outcome=created}"] == 2
    assert found["match_allocation_seconds_count{outcome=unknown}"] == 1
    assert found["match_frames_delivered_total{type=queued}"] == 2
    assert found["match_script_seconds_count{script=enqueue}"] == 2


def test_what_scripts_ended_is_counted_by_reason() -> None:
    page = Page()
    page.record(node.MatchCancelled("L1", MODE, "player_left", ("ann",), 1))
    page.record(*(node.PlayerDequeued(player, MODE, "disconnected", None, "") for player in ("ann", "bob")))
    found = page.read()
    assert found["match_cancelled_total{reason=player_left}"] == 1
    assert found["match_players_dropped_total{reason=disconnected}"] == 2


def test_refusals_are_counted_by_kind_and_code() -> None:
    page = Page()
    page.record(
        node.MessageRefused("queue_paused", "paused"),
        node.HandshakeRefused(403, "origin", "127.0.0.1"),
        node.OriginRefused("https://game.example"),
        node.ServerRefused(422, "capacity", None),
        node.ServerIdTaken("s1", None),
    )
    found = page.read()
    assert found["match_refusals_total{code=queue_paused,kind=message}"] == 1
    assert found["match_refusals_total{code=403,kind=handshake}"] == 2
    assert found["match_refusals_total{code=422,kind=registration}"] == 1
    assert found["match_refusals_total{code=409,kind=heartbeat}"] == 1


def test_the_series_of_a_mode_begin_before_its_first_match() -> None:
    found = Page().read()
    assert found[f"match_formed_total{{game_mode={MODE}}}"] == 0
    assert found[f"match_time_to_match_seconds_count{{game_mode={MODE}}}"] == 0
    assert found[f"match_loading_seconds_count{{game_mode={MODE}}}"] == 0
    assert [name for name in found if name.startswith("match_proposals")] == [
        "match_proposals_stale_total{game_mode=ranked}"
    ]


def test_the_build_is_named_and_no_series_says_when_a_counter_was_created() -> None:
    page = Page()
    page.record(node.FrameDelivered("queued", "ann", "c"))
    found = page.read()
    (build,) = (name for name in found if name.startswith("match_build_info{"))
    assert f"version={match_server.__version__}" in build
    assert [name for name in found if "_created" in name] == []


def test_two_nodes_in_one_process_do_not_share_their_metrics() -> None:
    one, two = Page(), Page()
    one.record(node.FrameDelivered("queued", "ann", "c"))
    assert "match_frames_delivered_total{type=queued}" not in two.read()
