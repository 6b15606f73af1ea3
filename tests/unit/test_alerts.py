"""When the dashboard raises an alert, and when it takes it back."""

from dataclasses import replace

import pytest

from match_server.web.alerts import Alerts, Facts

WELL = Facts(
    at=0,
    free_slots=10,
    oldest_waits={"duel": 1.0},
    queue_timeouts={"duel": 0},
    calls={"created": 100},
    lag_seconds=0.01,
    dead_nodes=(),
    lost_nodes=(),
    events_lost={},
    connections=100,
)


def names(alerts: Alerts, facts: Facts) -> list[str]:
    return [alert.name for alert in alerts.look(facts)]


def test_a_pool_that_is_well_has_none() -> None:
    alerts = Alerts()
    for at in range(200):
        assert names(alerts, replace(WELL, at=at, calls={"created": 100 + at})) == []


def test_no_free_slot_for_half_a_minute() -> None:
    alerts = Alerts()
    full = replace(WELL, free_slots=0)
    assert names(alerts, full) == names(alerts, replace(full, at=29)) == []
    assert names(alerts, replace(full, at=30)) == ["no_free_slot"]
    assert names(alerts, replace(WELL, at=31)) == []
    assert names(alerts, replace(full, at=32)) == [], "it begins anew"


@pytest.mark.parametrize(("timeout", "limit"), [(0, 120), (100, 80)])
def test_a_wait_beyond_the_limit_of_its_mode(timeout: float, limit: float) -> None:
    waits = replace(WELL, queue_timeouts={"duel": timeout}, oldest_waits={"duel": limit})
    assert names(Alerts(), waits) == []
    (alert,) = Alerts().look(replace(waits, oldest_waits={"duel": limit + 1}))
    assert (alert.name, alert.about, alert.severity) == ("oldest_wait", "duel", "warning")


def test_calls_for_a_session_fail() -> None:
    alerts = Alerts()
    assert names(alerts, replace(WELL, calls={"created": 1000, "unknown": 900})) == [], "before anybody looked"
    assert names(alerts, replace(WELL, at=1, calls={"created": 1095, "unknown": 905})) == [], "5 of 100"
    assert names(alerts, replace(WELL, at=2, calls={"created": 1095, "unknown": 906})) == ["creates_fail"]
    assert names(alerts, replace(WELL, at=63, calls={"created": 1096, "unknown": 906})) == [], "a minute later"


def test_notifications_are_late_or_do_not_come() -> None:
    alerts = Alerts()
    assert names(alerts, replace(WELL, lag_seconds=1.0)) == []
    assert names(alerts, replace(WELL, at=1, lag_seconds=1.1)) == ["notification_lag"]
    assert names(alerts, replace(WELL, at=2, lag_seconds=None)) == []
    assert names(alerts, replace(WELL, at=6, lag_seconds=None)) == ["notification_lag"]
    assert names(alerts, replace(WELL, at=7)) == []


def test_a_node_is_lost() -> None:
    alerts = Alerts()
    assert names(alerts, replace(WELL, dead_nodes=["n1"])) == ["node_lost"]
    (alert,) = alerts.look(replace(WELL, at=1, lost_nodes=["n1"]))
    assert alert.about == "n1"
    assert names(alerts, replace(WELL, at=600)) == ["node_lost"]
    assert names(alerts, replace(WELL, at=601)) == []


def test_events_are_lost() -> None:
    alerts = Alerts()
    assert names(alerts, replace(WELL, events_lost={"history": 0, "redis": 0})) == []
    assert names(alerts, replace(WELL, at=1, events_lost={"history": 7})) == ["events_lost"]
    assert names(alerts, replace(WELL, at=600, events_lost={"history": 7})) == ["events_lost"]
    assert names(alerts, replace(WELL, at=601, events_lost={"history": 7})) == []
    (alert,) = alerts.look(replace(WELL, at=602, events_lost={"history": 9}))
    assert "9 events" in alert.text


def test_events_that_were_lost_before_the_first_look_are_no_news() -> None:
    alerts = Alerts()
    assert names(alerts, replace(WELL, events_lost={"history": 7})) == []
    assert names(alerts, replace(WELL, at=1, events_lost={"history": 7, "kafka": 1})) == ["events_lost"]


def test_connections_are_down_by_a_third_within_a_minute() -> None:
    alerts = Alerts()
    assert names(alerts, WELL) == names(alerts, replace(WELL, at=1, connections=71)) == []
    assert names(alerts, replace(WELL, at=2, connections=70)) == ["connections_down"]
    assert names(alerts, replace(WELL, at=62, connections=70)) == [], "they were so few a minute ago"
    few = Alerts()
    assert names(few, replace(WELL, connections=49)) == names(few, replace(WELL, at=1, connections=0)) == []


def test_the_worst_comes_first() -> None:
    facts = replace(WELL, oldest_waits={"duel": 999.0}, dead_nodes=["n1"])
    assert names(Alerts(), facts) == ["node_lost", "oldest_wait"]
