"""The soak's parts: the lines between its processes, its schedule, its looks, and what it takes for a leftover."""

import asyncio
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.load.processes import BenchmarkError
from tests.shared.look import Look
from tests.soak.faults import FAULTS, schedule
from tests.soak.invariants import Finding, Findings, Invariant
from tests.soak.pool import Snapshot, unowned
from tests.soak.process import Process
from tests.soak.vitals import Life, Sample, Vitals, read
from tests.soak.waiting import FullMatches, could_be_matched
from tests.soak.waves import Match, Player, Wave, read_wave, write_wave

NOW_US = 1_000_000_000


def test_a_wave_survives_its_line() -> None:
    wave = Wave(
        name="Normal_1v1-0-7",
        game_mode="Normal_1v1",
        match_size=2,
        began=1.5,
        ended=9.25,
        players={"ann": Player(behaviour="normal", fate="matched", places_lost=1)},
        matches=(Match(session_id="s", loading_session_id="l", server_address="ws://x", players=("ann", "bob")),),
        violations=("ann: …",),
        errors={"server_busy": 2},
        broken_links=(3.25,),
        p99_ms=12.5,
    )
    line = write_wave(wave)
    assert "\n" not in line
    assert read_wave(line) == wave


def test_every_fault_comes_once_before_any_comes_again_and_a_seed_repeats_them() -> None:
    def drawn(seed: int) -> list[Any]:
        rng = Random(seed)  # noqa: S311 - a schedule, no secret
        return list(islice(schedule(FAULTS, rng), 3 * len(FAULTS)))

    faults = [strike for _, strike in drawn(1)]
    for start in range(0, len(faults), len(FAULTS)):
        assert Counter(faults[start : start + len(FAULTS)]) == Counter(FAULTS)
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_the_same_thing_seen_again_is_one_finding() -> None:
    findings = Findings()
    assert findings.clean
    assert findings.add(Finding(Invariant.STRUCTURE, "ann is nowhere"))
    assert not findings.add(Finding(Invariant.STRUCTURE, "ann is nowhere"))
    assert findings.add(Finding(Invariant.STRUCTURE, "bob is nowhere"))
    assert findings.count(Invariant.STRUCTURE) == 2
    assert findings.count(Invariant.LOST) == 0
    assert not findings.clean


def snapshot(**contents: Any) -> Snapshot:
    """A look at a pool that holds these keys; `__` stands for the colon of a key's name."""
    return Snapshot(Look({key.replace("__", ":"): value for key, value in contents.items()}), NOW_US)


@pytest.mark.parametrize(("state", "late_us", "count"), [("loading", 5_100_000, 1), ("loading", 4_900_000, 0)])
def test_a_session_is_overdue_a_sweep_after_its_deadline(state: str, late_us: int, count: int) -> None:
    session = {"#state": state, "#deadline": str(NOW_US - late_us)}
    assert len(list(snapshot(loading__s=session).overdue())) == count


def test_a_registry_that_has_given_out_more_slots_than_there_are() -> None:
    (line,) = snapshot(
        server__good={"capacity": "2"},
        reserved__good={"s1": "1"},
        active__good={"s2": "0"},
        server__bad={"capacity": "1"},
        reserved__bad={"s3": "1"},
        active__bad={"s4": "0"},
    ).overfull()
    assert line.startswith("bad: 2 slots of 1")


def test_whoever_is_not_matched_is_still_under_way() -> None:
    going_on = snapshot(
        player__ann={"state": "matched", "connection": ""},
        player__bob={"state": "queued", "connection": ""},
        loading__s={},
        held={"bob": "1"},
    ).under_way()
    assert list(going_on) == ["bob is queued, away", "loading session s", "bob is held"]
    assert list(snapshot().under_way()) == []


def test_a_full_match_that_could_form_all_along_is_noticed() -> None:
    matches = FullMatches()

    def late(at: float, *players: str) -> list[str]:
        return list(matches.look(at, {"Normal_1v1": players}))

    assert late(0.0, "ann", "bob") == []
    assert late(4.0, "ann", "bob", "cid") == []
    (line,) = late(5.1, "ann", "bob", "cid")
    assert line == "Normal_1v1: 2 players, ann, bob …"


@pytest.mark.parametrize("meanwhile", [("ann",), ("ann", "cid"), ()])
def test_who_is_matched_or_lacks_company_meanwhile_is_not_late(meanwhile: tuple[str, ...]) -> None:
    matches = FullMatches()
    for at, players in ((0.0, ("ann", "bob")), (3.0, meanwhile), (5.1, ("ann", "bob"))):
        assert list(matches.look(at, {"Normal_1v1": players})) == []


def test_a_look_that_failed_starts_the_wait_anew() -> None:
    matches = FullMatches()
    assert list(matches.look(0.0, {"Normal_1v1": ("ann", "bob")})) == []
    matches.forget()
    assert list(matches.look(5.1, {"Normal_1v1": ("ann", "bob")})) == []


@pytest.mark.parametrize(("players", "offered", "matchable"), [(2, 2, 2), (1, 2, 0), (2, 1, 0), (2, 0, 0)])
def test_who_could_be_matched(players: int, offered: int, matchable: int) -> None:
    contents = {
        "queue:Normal_1v1": [f"p{number}" for number in range(players)],
        "sessions:loading:Normal_1v1": {"s": "1"},
        "server:s1": {"offered": str(offered)},
    }
    found = could_be_matched(Snapshot(Look(contents), NOW_US))
    assert len(found["Normal_1v1"]) == matchable


def test_keys_without_owner() -> None:
    ttls = {
        "clock": -1,
        "nodes": -1,
        "server:s1": -1,
        "active:s1": -1,
        "player:ann": 119,
        "player:bob": -1,
        "server:gone": -1,
        "node_players:n1": -1,
        "node_players:gone": -1,
        "queue:Normal_1v1": -1,
    }
    assert list(unowned(ttls, nodes=["n1"], servers=["s1"])) == [
        "node_players:gone",
        "player:bob",
        "queue:Normal_1v1",
        "server:gone",
    ]


def test_a_life_is_warm_after_twenty_seconds_or_a_third_of_it() -> None:
    long = Life([Sample(float(at), at, 0) for at in range(100)])
    short = Life([Sample(float(at), at, 0) for at in range(10)])
    assert long.warm.at == 20
    assert short.warm.at == 3
    assert Life([Sample(5.0, 1, 1)]).warm.at == 5


def test_a_process_that_has_ended_leaves_no_sample(tmp_path: Path) -> None:
    process = Process("sleeper", ["sleep", "60"], folder=tmp_path)
    process.start()
    pid = process.pid
    assert pid is not None
    assert read(pid).resident_bytes > 0
    vitals = Vitals()
    vitals.sample("sleeper", pid)
    process.kill()
    vitals.sample("sleeper", pid)
    (life,) = vitals.lives("sleeper")
    assert len(life.samples) == 1


def test_an_end_that_nobody_brought_about_is_noted(tmp_path: Path) -> None:
    async def story() -> None:
        process = Process("program", ["sh", "-c", "exit 3"], folder=tmp_path)
        process.start()
        assert await process.ended(10) == 3
        process.kill()
        assert process.died == [3]

    asyncio.run(story())


def test_ends_that_were_brought_about_are_not_noted(tmp_path: Path) -> None:
    async def story() -> None:
        process = Process(
            "program", ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done"], folder=tmp_path
        )
        for _ in range(2):
            process.start()
            await process.said("ready")
            process.terminate()
            assert await process.ended(10) == 0
        process.start()
        process.kill()
        assert process.pid is None
        assert process.died == []

    asyncio.run(story())


def test_what_an_earlier_life_said_is_not_said_again(tmp_path: Path) -> None:
    async def story() -> None:
        mark = tmp_path / "mark"
        command = f"test -e {mark} || echo ready; touch {mark}; exit 1"
        process = Process("program", ["sh", "-c", command], folder=tmp_path)
        process.start()
        await process.said("ready")
        await process.ended(10)
        process.kill()
        process.start()
        with pytest.raises(BenchmarkError, match="program ended"):
            await process.said("ready")
        process.kill()

    asyncio.run(story())


def test_lines_are_heard_once_and_whole(tmp_path: Path) -> None:
    async def story() -> None:
        command = "printf 'one\\ntw'; sleep 0.2; printf 'o\\n'"
        process = Process("program", ["sh", "-c", command], folder=tmp_path)
        process.start()
        heard: list[str] = []
        deadline = time.monotonic() + 10
        while len(heard) < 2 and time.monotonic() < deadline:
            heard += process.new_lines()
            await asyncio.sleep(0.01)
        process.kill()
        assert heard == ["one", "two"]

    asyncio.run(story())
