"""deploy/alerts.yml and deploy/grafana.json ask for metrics that there are, and the alerts fire when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.markdown import ROOT, read
from tests.shared.node import Node, eventually
from tests.shared.platform import PlatformProcess
from tests.shared.prefix import fresh_prefix
from tests.shared.programs import missing

ALERTS = "deploy/alerts.yml"
RULES = [rule for group in yaml.safe_load(read(ALERTS))["groups"] for rule in group["rules"]]
BOARD: dict[str, Any] = json.loads(read("deploy/grafana.json"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + QUERIES
OF_PROMETHEUS = {"up"}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum")}


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in a query; those of labels stand in brackets of their own."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|without) \([^)]*\)", " ", expression)
    return {name for name in re.findall(r"[a-z_]+\b(?! *\()", bare) if "_" in name or name in OF_PROMETHEUS}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> dict[str, str]:
    """The samples that a real node and a real platform export, and the type of each."""
    folder, prefix = tmp_path_factory.mktemp("metrics"), fresh_prefix()
    with Node(folder, redis_url, prefix) as node, PlatformProcess(folder, redis_url, prefix) as platform:
        eventually(lambda: "match_notification_lag_seconds " in node.http.get("/metrics").text)
        with platform.http as http:
            pages = node.http.get("/metrics").text + http.get("/metrics").text
    types = re.findall(r"^# TYPE (\S+) (\w+)$", pages, re.MULTILINE)
    return {name + suffix: kind for name, kind in types for suffix in SUFFIXES.get(kind, ("",))}


def test_every_metric_is_exported(exported: dict[str, str]) -> None:
    for expression in EXPRESSIONS:
        names = metrics_in(expression)
        assert names, expression
        assert names <= exported.keys() | OF_PROMETHEUS, expression
        for name in names:
            if exported.get(name) in {"counter", "histogram"}:
                assert re.search(rf"rate\({name}\b", expression), f"{name} only grows"


def test_every_label_is_one_of_its_metric() -> None:
    tables = read("docs/operations.md") + read("docs/platform.md")
    labels = {
        name: set(re.findall(r"`(\w+)`", cells))
        for name, cells in re.findall(r"^\| `(match_\w+)` \| \w+ \| ([^|]*) \|", tables, re.MULTILINE)
    }
    for expression in EXPRESSIONS:
        for name, selectors in re.findall(r"(match_\w+)\{([^}]*)\}", expression):
            metric = name.removesuffix("_count").removesuffix("_bucket")
            assert set(re.findall(r"(\w+)[!=]", selectors)) <= labels[metric], expression


def test_the_board_is_what_grafana_imports() -> None:
    assert BOARD["title"]
    assert BOARD["schemaVersion"] >= 36, "datasources by type and uid"
    (variable,) = BOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    assert "id" not in BOARD, "an import makes its own"
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + column, place["y"] + row) for column in range(place["w"]) for row in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies on another"
        taken |= cells
    for panel in PANELS:
        assert panel["type"] in {"timeseries", "stat"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": f"${{{variable['name']}}}"}


# What is so while an alert fires: series, each with its values of every 15 s from the first minute on.
FIRING: dict[str, dict[str, str]] = {
    "MatchNoFreeSlot": {'match_server_slots{instance="a",state="free"}': "0x40"},
    "MatchLongWait": {'match_queue_oldest_wait_seconds{instance="a",game_mode="duel"}': "130x40"},
    "MatchCreateFailures": {
        'match_allocation_seconds_count{instance="a",outcome="created"}': "0+90x40",
        'match_allocation_seconds_count{instance="b",outcome="unreachable"}': "0+10x40",
    },
    "MatchNotificationLag": {'match_notification_lag_seconds{instance="a"}': "1.5x40"},
    "MatchNodeLost": {'up{job="match-server",instance="a"}': "0x40"},
    "MatchNotReady": {'match_redis_up{instance="a"}': "0x40", 'match_ready{instance="a"}': "1x40"},
    "MatchConnectionsDown": {
        'match_connections{instance="a"}': "1000x35 400x3",
        'match_connections{instance="b"}': "1000x35 900x3",
    },
    "MatchModesDiffer": {'match_modes_differ{instance="a"}': "1x80"},
    "MatchEventsLost": {'match_platform_events_lost{instance="a",sink="history"}': "0x30 5x9"},
    "MatchEventsBehind": {'match_platform_events_behind{instance="a",sink="kafka"}': "2000x60"},
    "MatchDeadLetters": {'match_platform_dead_letters{instance="a",sink="kafka"}': "1x40"},
    "MatchPlatformLost": {'up{job="match-platform",instance="a"}': "0x40"},
}
# And while it does not, though it is near.
SILENT: dict[str, dict[str, str]] = {
    "MatchNoFreeSlot": {'match_server_slots{instance="a",state="free"}': "1x40"},
    "MatchLongWait": {'match_queue_oldest_wait_seconds{instance="a",game_mode="duel"}': "110x40"},
    "MatchCreateFailures": {
        'match_allocation_seconds_count{instance="a",outcome="created"}': "0+97x40",
        'match_allocation_seconds_count{instance="b",outcome="unreachable"}': "0+3x40",
    },
    "MatchNotificationLag": {'match_notification_lag_seconds{instance="a"}': "0.9x40"},
    "MatchNodeLost": {'up{job="match-server",instance="a"}': "1x40"},
    "MatchNotReady": {'match_redis_up{instance="a"}': "1x40", 'match_ready{instance="a"}': "1x40"},
    "MatchConnectionsDown": {  # a node stopped, and its players are with the others
        'match_connections{instance="a"}': "1000x35 0x3",
        'match_connections{instance="b"}': "1000x35 1900x3",
    },
    "MatchModesDiffer": {'match_modes_differ{instance="a"}': "1x20 0x60"},
    "MatchEventsLost": {'match_platform_events_lost{instance="a",sink="history"}': "5x40"},
    "MatchEventsBehind": {'match_platform_events_behind{instance="a",sink="kafka"}': "2000x18 0x1 2000x30"},
    "MatchDeadLetters": {'match_platform_dead_letters{instance="a",sink="kafka"}': "0x40"},
    "MatchPlatformLost": {'up{job="match-platform",instance="a"}': "1x40"},
}


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    assert FIRING.keys() == SILENT.keys() == {rule["alert"] for rule in RULES}
    promtool = shutil.which("promtool")
    if promtool is None:
        missing("no promtool here: apt-get install prometheus")
    tests = [
        {
            "interval": "15s",
            "name": f"{alert}, {'fires' if cases is FIRING else 'is silent'}",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                    "eval_time": _length(series),
                    "exp_samples": [{"labels": "{}", "value": 1 if cases is FIRING else 0}],
                }
            ],
        }
        for cases in (FIRING, SILENT)
        for alert, series in cases.items()
    ]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(ROOT / ALERTS)], "evaluation_interval": "15s", "tests": tests}))
    for arguments in (("check", "rules", str(ROOT / ALERTS)), ("test", "rules", str(path))):
        ended = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, timeout=50)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def _length(series: dict[str, str]) -> str:
    """When the last value of a series is there: `1x3` stands for four of them, 15 s apart."""
    (values, *_) = series.values()
    samples = sum(int(times) + 1 for times in re.findall(r"x(\d+)", values))
    return f"{15 * (samples - 1)}s"
