"""docs/operations.md names what there is to see."""

import re

from match_server.config import Settings, variable
from tests.docs.markdown import ROOT, read
from tests.e2e.node import Node

DOC = "docs/operations.md"


def test_metrics_that_alerts_name_exist(node: Node) -> None:
    text = node.http.get("/metrics").text
    named = set(re.findall(r"`(match_\w+?)(?:\{[^`]*)?`", read(DOC)))
    exposed = {name for name in named if re.search(rf"^# HELP {name.removesuffix('_count')} ", text, re.MULTILINE)}
    assert named - exposed == {"match_cancelled", "match_found"}, "frames and an event, no metrics"


def test_the_fields_of_a_queue_are_those_that_are_named(node: Node) -> None:
    section = read(DOC).partition("`GET /queues/{game_mode}` give")[2].partition("Players wait")[0]
    assert set(re.findall(r"`(\w+)`", section)) | {"game_mode"} == set(node.queue())


def test_events_and_variables_that_are_named_exist() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "match_server").rglob("*.py"))
    events = read(DOC).partition("## Logs")[2].partition("## Dedicated servers")[0]
    for event in re.findall(r"`([a-z_]+)`", "\n".join(re.findall(r"^\| (`[^|]*) \|", events, re.MULTILINE))):
        assert f'"{event}"' in source, event
    known = {variable(name) for name in Settings.model_fields}
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    for page in pages:
        named = set(re.findall(r"\bMATCH_[A-Z_]+\b", page.read_text(encoding="utf-8")))
        assert named <= known, page
