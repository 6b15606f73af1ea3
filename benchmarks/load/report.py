"""The table on the terminal: a section per case, a line per figure, each beside its references and its bar."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.load.bars import Verdict
from benchmarks.load.results import Result

_WIDTH_WITHOUT_TERMINAL = 150


def print_table(console: Console, results: Sequence[Result], verdicts: Sequence[Verdict]) -> None:
    """Print what was measured, then how it stands to the bars."""
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    table = Table(title="match-server benchmarks")
    table.add_column("case and figure")
    for heading in ("match-server", "least … greatest", "naive", "to naive", "bare", "to bare"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        table.add_section()
        table.add_row(f"[bold]{result.case}[/]  [dim]{result.about}[/]")
        for name in dict.fromkeys([*result.figures, *result.bare]):
            table.add_row(
                f"  {name}",
                shown(result.figures.get(name)),
                " … ".join(shown(end) for end in result.spread.get(name, ())),
                shown(result.naive.get(name)),
                shown(result.to_naive.get(name)),
                shown(result.bare.get(name)),
                shown(result.to_bare.get(name)),
            )
        for note in result.notes:
            table.add_row(f"  [dim]{note}[/]")
    console.print(table)
    bars = Table(title="the bars")
    for heading in ("bar", "limit", "measured", "met"):
        bars.add_column(heading)
    for verdict in verdicts:
        met = "[green]yes[/]" if verdict.met else "[red]no[/]"
        bars.add_row(verdict.bar.text, verdict.bar.limit_text, shown(verdict.value), met)
    if verdicts:
        console.print(bars)


def shown(value: float | None) -> str:
    """Three significant digits, or whole numbers with their thousands apart; nothing for None."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
