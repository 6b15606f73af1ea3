"""The journey, simulated: many seeds hold, one seed runs the same way twice, and the command says so."""

import os

import pytest
from typer.testing import CliRunner

from tests.simulation.__main__ import app
from tests.simulation.seeds import run_seeds

SEEDS = 400  # of every change; many more are run by hand before a release
JOBS = os.cpu_count() or 1


@pytest.mark.timeout(600)
def test_seeds_hold() -> None:
    failed = {outcome.seed: outcome.violations[0] for outcome in run_seeds(1, SEEDS, jobs=JOBS) if outcome.violations}
    assert failed == {}, "again: python -m tests.simulation --seed <seed>"


def test_a_seed_runs_the_same_way_twice() -> None:
    def digests() -> list[str]:
        return [outcome.digest for outcome in run_seeds(1, 20)]

    first = digests()
    assert first == digests()
    assert len(set(first)) == len(first)


def test_to_print_a_trace_changes_nothing() -> None:
    (plain,), (traced,) = run_seeds(7, 1), run_seeds(7, 1, traced=True)
    assert plain.digest == traced.digest
    assert plain.trace == ()
    assert len(traced.trace) > traced.steps // 10


def test_a_seed_does_not_depend_on_those_before_it() -> None:
    *_, after_others = run_seeds(1, 5)
    (alone,) = run_seeds(5, 1)
    assert alone.digest == after_others.digest


def test_seeds_differ_in_what_goes_wrong_and_reach_matches_all_the_same() -> None:
    outcomes = list(run_seeds(1, 60, jobs=JOBS))
    assert sum(outcome.matches > 0 for outcome in outcomes) > 40
    assert sum(outcome.steps for outcome in outcomes) / len(outcomes) > 100


def test_the_command_ends_with_0_when_all_went_well() -> None:
    result = CliRunner().invoke(app, ["--seeds", "3", "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert "3 seeds from 1 on" in result.output
    assert "0 seeds failed" in result.output


def test_the_command_replays_one_seed_in_full() -> None:
    result = CliRunner().invoke(app, ["--seed", "2"])
    assert result.exit_code == 0, result.output
    assert "Weather(" in result.output
    assert "seed 2:" in result.output
