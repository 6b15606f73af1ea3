"""`python -m tests.simulation`: runs seeds, or replays one of them in full."""

import os
import sys
import time
from typing import Annotated

import typer

from tests.simulation.outcome import Outcome
from tests.simulation.seeds import WorkerFailed, run_seeds

EXAMPLES = """\b
Examples:
  python -m tests.simulation                                      two thousand seeds
  python -m tests.simulation --first-seed 100000 --seeds 50000
  python -m tests.simulation --seed 7                             one seed, with all that happens
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

_TRACE_LINES = 60
_SHOWN_FAILURES = 10
_PROGRESS_SECONDS = 5.0


@app.command(epilog=EXAMPLES)
def simulate(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to run.")] = 2000,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Run this one alone, and print all that happens.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes to share the seeds.")] = os.cpu_count() or 1,
) -> None:
    """Run the journey under a seeded scheduler with seeded faults, and check what must hold after every step.

    The exit status is 1 when a seed fails; the same seed fails the same way again.
    """
    try:
        failed = _replay(seed) if seed is not None else _run(first_seed, seeds, jobs)
    except WorkerFailed as error:
        typer.echo(f"the simulation itself failed: {error}", err=True)
        raise typer.Exit(2) from None
    if failed:
        raise typer.Exit(1)


def _replay(seed: int) -> bool:
    (outcome,) = run_seeds(seed, 1, traced=True)
    typer.echo("\n".join(outcome.trace))
    typer.echo(f"\nseed {seed}: {outcome.steps} steps, {outcome.simulated_seconds:.1f} s, digest {outcome.digest}")
    for violation in outcome.violations:
        typer.echo(f"VIOLATION {violation}")
    return bool(outcome.violations)


def _run(first: int, count: int, jobs: int) -> bool:
    started = shown = time.monotonic()
    failures: list[Outcome] = []
    done = steps = matches = 0
    for outcome in run_seeds(first, count, jobs=jobs):
        done += 1
        steps += outcome.steps
        matches += outcome.matches
        if outcome.violations:
            failures.append(outcome)
            if len(failures) <= _SHOWN_FAILURES:
                _show_failure(outcome, traced=len(failures) == 1)
        now = time.monotonic()
        if now - shown > _PROGRESS_SECONDS:
            shown = now
            typer.echo(f"{done}/{count} seeds, {done / (now - started):.0f}/s, {len(failures)} failed", err=True)
    seconds = time.monotonic() - started
    typer.echo(
        f"{done} seeds from {first} on in {seconds:.1f} s ({done / seconds:.1f}/s, {jobs} processes):"
        f" {steps} steps, {matches} matches, {len(failures)} seeds failed"
    )
    if failures:
        typer.echo(f"failed: {' '.join(str(seed) for seed in sorted(outcome.seed for outcome in failures))}")
    return bool(failures)


def _show_failure(outcome: Outcome, *, traced: bool) -> None:
    if traced:
        typer.echo("\n".join(line[:240] for line in outcome.trace[-_TRACE_LINES:]))
    typer.echo(f"seed {outcome.seed} failed: {outcome.violations[0]}")
    typer.echo(f"  again: {sys.executable} -m tests.simulation --seed {outcome.seed}")


if __name__ == "__main__":
    app(prog_name="python -m tests.simulation")
