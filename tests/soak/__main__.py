"""`python -m tests.soak`."""

import asyncio
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from benchmarks.load.processes import BenchmarkError, raise_descriptor_limit
from tests.soak.report import show, to_json
from tests.soak.soak import Outcome, SoakOptions, soak

_NOT_CLEAN = 1
_STOPPED = 130

EXAMPLES = """\b
Examples:
  python -m tests.soak                             ten minutes
  python -m tests.soak --minutes 1 --seed 7
  python -m tests.soak --minutes 60 --lossy        now and then, Redis is emptied too
  python -m tests.soak --minutes 10 --no-faults    memory and descriptors of processes that live all along
  python -m tests.soak --json soak.json
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog=EXAMPLES)
def run(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long players come and faults strike.")] = 10.0,
    seed: Annotated[
        int | None, typer.Option(help="Repeat the faults, their moments and the players' chances. Default: a new one.")
    ] = None,
    faults: Annotated[bool, typer.Option("--faults/--no-faults", help="Cause faults at random times.")] = True,
    lossy: Annotated[bool, typer.Option("--lossy", help="Also empty Redis (FLUSHALL).")] = False,
    players: Annotated[int, typer.Option(min=24, max=5000, help="About how many at a time.")] = 160,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result to a file.")
    ] = None,
) -> None:
    """Let a mixed population play over two nodes while faults strike; say what held and what was left behind.

    Starts and stops everything that it needs. The logs are kept where something did not hold.

    Exit status: 0 clean, 1 not clean, 2 a wrong option or something did not start, 130 stopped by Ctrl-C.
    """
    options = SoakOptions(
        minutes=minutes,
        seed=secrets.randbits(32) if seed is None else seed,
        faults=faults,
        lossy=lossy,
        players=players,
    )
    raise_descriptor_limit()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))  # a Unix socket's path must be short
    keep = False
    try:
        outcome = _run(options, folder)
        keep = not outcome.clean
        show(outcome, Console())
        if json_file:
            json_file.write_text(to_json(outcome) + "\n")
    except BenchmarkError as error:
        typer.echo(f"soak: {error}", err=True)
        raise typer.Exit(2) from None
    except asyncio.CancelledError:
        raise typer.Exit(_STOPPED) from None
    finally:
        if keep:
            typer.echo(f"the logs are kept in {folder}", err=True)
        else:
            shutil.rmtree(folder)
    if not outcome.clean:
        raise typer.Exit(_NOT_CLEAN)


def _run(options: SoakOptions, folder: Path) -> Outcome:
    began = time.monotonic()

    def say(line: str) -> None:
        typer.echo(f"{time.monotonic() - began:7.1f} s  {line}", err=True)

    async def until_signalled() -> Outcome:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await soak(options, folder, say)

    say(f"soak of {options.minutes:g} minutes, seed {options.seed}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(until_signalled())


if __name__ == "__main__":
    app(prog_name="python -m tests.soak")
