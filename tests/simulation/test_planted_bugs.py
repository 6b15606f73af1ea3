"""A simulation that finds nothing proves nothing: with a bug planted into the Lua, some seed must fail."""

import os
from contextlib import closing

import pytest

from tests.simulation.planted_bugs import PLANTED_BUGS
from tests.simulation.seeds import run_seeds

SEEDS = 600


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", PLANTED_BUGS)
def test_the_simulation_finds(bug: str) -> None:
    jobs = os.cpu_count() or 1
    with closing(run_seeds(1, SEEDS, jobs=jobs, one_failure=True, planted=PLANTED_BUGS[bug])) as outcomes:
        failed = next((outcome for outcome in outcomes if outcome.violations), None)
    assert failed is not None, f"not found within {SEEDS} seeds"
    assert failed.trace, "it says what happened"
