"""The command: without a subcommand the load benchmarks; `guard`, and those of single parts, by name."""

import typer

from benchmarks.history import history
from benchmarks.load import commands as load
from benchmarks.matching import commands as matching
from benchmarks.rooms.command import rooms
from benchmarks.scaling.command import scaling

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.callback(invoke_without_command=True, epilog=load.EXAMPLES)(load.run)
app.command()(load.guard)
app.command()(matching.quality)
app.command("matching")(matching.matching)
app.command()(history)
app.command()(scaling)
app.command()(rooms)


def main() -> None:
    """The entry point of `python -m benchmarks`."""
    app(prog_name="python -m benchmarks")
