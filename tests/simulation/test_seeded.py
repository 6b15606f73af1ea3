"""The service gets its chance and its time from the seed alone, or a seed would not run the same way twice."""

import ast
import secrets
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.simulation.hurry import hurried
from tests.simulation.scripts import NotFound, simulated_scripts
from tests.simulation.seeded import seeded

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "match_server"
SIMULATED = [
    *sorted((SERVICE / "actors").glob("*.py")),
    *sorted(path for path in (SERVICE / "store").glob("*.py") if path.name != "embedded.py"),  # it starts a server
    SERVICE / "redis_clock.py",
    SERVICE / "resume_tokens.py",
    SERVICE / "signing.py",
    SERVICE / "web/gateway.py",
]
REPLACED = {
    "uuid": {"uuid4"},
    "secrets": {"token_bytes", "token_hex"},
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"},
}
NEVER = {"random", "os", "datetime"}


def asked(path: Path) -> Iterator[str]:
    """Uses of a source of chance or time that the simulation does not replace."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in {*REPLACED, *NEVER}:
            yield f"from {node.module} import ..."
        elif isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names if alias.name in NEVER)
        elif isinstance(node, ast.Attribute):
            module = node.value.id if isinstance(node.value, ast.Name) else ""
            yield from (f"{module}.{node.attr}" for _ in "." if node.attr not in REPLACED.get(module, {node.attr}))


@pytest.mark.parametrize("path", SIMULATED, ids=lambda path: path.name)
def test_the_service_takes_chance_and_time_where_the_simulation_replaces_them(path: Path) -> None:
    assert list(asked(path)) == []


def test_ids_and_clocks_come_from_the_seed() -> None:
    def draw() -> list[object]:
        with seeded(Random(1), lambda: 12.5):  # noqa: S311 - repeatable on purpose
            return [uuid.uuid4(), secrets.token_hex(8), secrets.token_bytes(4), time.monotonic(), time.time_ns()]

    first = draw()
    assert first == draw()
    assert first[3:] == [12.5, 12_500_000_000]
    assert time.monotonic() != 12.5


def test_the_clock_and_the_pop_are_replaced_in_every_script() -> None:
    for script in simulated_scripts().values():
        assert "'TIME'" not in script.text
        assert "'SPOP'" not in script.text


def test_a_text_that_is_not_there_to_be_replaced_is_said_so() -> None:
    with pytest.raises(NotFound, match="no such line"):
        simulated_scripts({"no such line": ""})


def test_every_wait_that_is_shortened_is_still_there() -> None:
    with hurried():
        pass
