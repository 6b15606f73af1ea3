"""The commands of the load benchmarks, for benchmarks/cli.py."""

import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from benchmarks.load import guard as guarding
from benchmarks.load.bars import judge
from benchmarks.load.bench import Bench, Case
from benchmarks.load.cases.catalogue import CASES
from benchmarks.load.cores import here
from benchmarks.load.markdown import rewrite
from benchmarks.load.processes import BenchmarkError, raise_descriptor_limit
from benchmarks.load.report import print_table, shown
from benchmarks.load.run import Run, run_cases

EXAMPLES = """\b
Examples:
  python -m benchmarks                                  every case of --list
  python -m benchmarks --quick                          the main cases, in under two minutes
  python -m benchmarks --list                           the names of the cases
  python -m benchmarks --only burst-5000 --only paced-300
  python -m benchmarks --json run.json --markdown docs/benchmarks.md
  python -m benchmarks --from run.json --markdown docs/benchmarks.md
  python -m benchmarks guard                            the ratios that CI holds, in under 40 seconds
"""

OnlyOption = Annotated[list[str] | None, typer.Option("--only", metavar="CASE", help="Run this case; may be repeated.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="The main cases, each once: under two minutes.")]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was measured to a file.")]
FromOption = Annotated[
    Path | None, typer.Option("--from", metavar="FILE", help="Measure nothing; report what --json wrote.")
]
MarkdownOption = Annotated[
    Path | None,
    typer.Option("--markdown", metavar="FILE", help="Rewrite the tables between the markers of a document."),
]
ListOption = Annotated[bool, typer.Option("--list", help="Print the cases and exit.")]


def run(
    context: typer.Context,
    only: OnlyOption = None,
    quick: QuickOption = False,
    json_file: JsonOption = None,
    from_file: FromOption = None,
    markdown_file: MarkdownOption = None,
    list_cases: ListOption = False,
) -> None:
    """Measure the service beside a naive variant in the same run. Starts and stops everything that it needs.

    Every process is pinned where the system can do that. The exit status is 0 unless a case could not be measured;
    the bars are reported, not enforced.
    """
    if context.invoked_subcommand:
        return
    if list_cases:
        for case in CASES:
            typer.echo(f"{case.name:20}{'quick  ' if case.quick else '       '}{case.about}")
        return
    try:
        found = Run.read(from_file) if from_file else _measure(_chosen(only or [], quick=quick), quick=quick)
        print_table(Console(), found.results, judge(found.results))
        if json_file:
            found.write(json_file)
        if markdown_file:
            rewrite(markdown_file, found)
    except BenchmarkError as error:
        _fail(str(error))
    if found.failed:
        _fail("\n".join(f"{case}: {why}" for case, why in found.failed.items()))


def guard() -> None:
    """Hold the ratios that CI watches: speed to the naive variant, CPU of a match to that of an echoed message."""
    _prepare()
    try:
        measured = guarding.measure(here())
    except BenchmarkError as error:
        _fail(str(error))
    for limit, value in measured:
        wanted = f"{'at least' if limit.at_least else 'at most'} {limit.limit:g}"
        typer.echo(f"{'ok    ' if limit.kept(value) else 'FAILED'} {limit.name}: {shown(value)}, {wanted}")
    if not all(limit.kept(value) for limit, value in measured):
        raise typer.Exit(1)


def _chosen(only: Sequence[str], *, quick: bool) -> list[Case]:
    unknown = set(only) - {case.name for case in CASES}
    if unknown:
        raise typer.BadParameter(f"no such case: {', '.join(sorted(unknown))}; see --list", param_hint="--only")
    return [case for case in CASES if (case.name in only if only else case.quick or not quick)]


def _measure(cases: Sequence[Case], *, quick: bool) -> Run:
    _prepare()
    # Without the folders of this machine: the command is published.
    arguments = [Path(argument).name if "/" in argument else argument for argument in sys.argv[1:]]
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    return run_cases(command, cases, Bench(here(), quick), lambda line: typer.echo(line, err=True))


def _prepare() -> None:
    """Allow the sockets that thousands of players take; end by SIGTERM as by Ctrl-C, with every child stopped."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    raise_descriptor_limit()


def _fail(why: str) -> NoReturn:
    typer.echo(f"benchmarks: {why}", err=True)
    raise typer.Exit(1)
