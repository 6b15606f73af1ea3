"""Metrics, without a Redis."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from match_server.errors import StoreUnavailable
from match_server.store.journey import Confirmed, Matched
from match_server.store.operators import OperatorStore, QueueStatus
from match_server.store.registry import RegistryStore, ServerStatus
from match_server.store.upkeep import Swept
from match_server.web.metrics import Metrics

MODE = "Normal_1v1"


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
            ServerStatus(server_id=f"s{n}", lease_seconds_left=9, active=n, reserved=1, free=10, record={})
            for n in (1, 2)
        ]


class Page:
    def __init__(self) -> None:
        self.metrics, self.operators, self.registry = Metrics(), FakeOperators(), FakeRegistry()

    def read(self) -> dict[str, float]:
        text = asyncio.run(
            self.metrics.render(
                operators=self.operators,
                registry=self.registry,
                game_modes=[MODE],
                connections=5,
                depths={"session": 4, "matchmaker": 1},
                lag_seconds=0.01,
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
def test_while_redis_is_away_the_page_still_renders_with_its_last_values(part: str) -> None:
    page = Page()
    page.read()
    getattr(page, part).away = True
    page.operators.waiting = 0
    found = page.read()
    assert found["match_servers"] == 2
    assert found["match_connections"] == 5


def test_a_node_that_never_reached_redis_renders_its_own_part() -> None:
    page = Page()
    page.operators.away = page.registry.away = True
    found = page.read()
    assert found["match_connections"] == 5
    assert f"match_queue_length{{game_mode={MODE}}}" not in found


def test_matches_are_counted_with_the_wait_of_each_player() -> None:
    page = Page()
    page.metrics.observe_matched(MODE)(Matched(formed=2, waits_us=(100_000, 200_000, 300_000, 6_000_000)))
    page.metrics.observe_found(Confirmed("matched", ("ann", "bob"), 1500))
    page.metrics.observe_found(Confirmed("matched", ("ann", "bob"), None))
    found = page.read()
    assert found[f"match_formed_total{{game_mode={MODE}}}"] == 2
    assert found[f"match_time_to_match_seconds_count{{game_mode={MODE}}}"] == 4
    assert found[f"match_time_to_match_seconds_sum{{game_mode={MODE}}}"] == pytest.approx(6.6)
    assert found[f"match_time_to_match_seconds_bucket{{game_mode={MODE},le=0.25}}"] == 2
    assert found["match_found_total"] == 2
    assert found["match_time_to_session_seconds_count"] == 1


def test_calls_frames_and_scripts_are_counted_by_kind() -> None:
    page = Page()
    for outcome in ("created", "created", "unknown"):
        page.metrics.observe_call(0.2, outcome)
    for kind in ("queued", "queued", "match_found"):
        page.metrics.observe_frame(kind)
    for script in ("enqueue", "enqueue", "ready"):
        page.metrics.observe_script(script, 0.001)
    found = page.read()
    assert found["match_allocation_seconds_count{outcome=created}"] == 2
    assert found["match_allocation_seconds_count{outcome=unknown}"] == 1
    assert found["match_frames_delivered_total{type=queued}"] == 2
    assert found["match_script_seconds_count{script=enqueue}"] == 2


def test_what_sweeps_ended_is_counted_by_reason() -> None:
    page = Page()
    fields: dict[str, Any] = {
        "acted": True,
        "epoch": "1",
        "redis_us": 0,
        "loading_timeouts": 2,
        "allocation_timeouts": 1,
    }
    page.metrics.observe_swept(Swept(**fields, cancelled_by_leaving=3, grace_ended=4, queue_timeouts=5))
    found = page.read()
    assert found["match_cancelled_total{reason=loading_timeout}"] == 2
    assert found["match_cancelled_total{reason=allocation_failed}"] == 1
    assert found["match_cancelled_total{reason=player_left}"] == 3
    assert found["match_players_dropped_total{reason=disconnected}"] == 4
    assert found["match_players_dropped_total{reason=queue_timeout}"] == 5


def test_two_nodes_in_one_process_do_not_share_their_metrics() -> None:
    one, two = Page(), Page()
    one.metrics.observe_frame("queued")
    assert "match_frames_delivered_total{type=queued}" not in two.read()
