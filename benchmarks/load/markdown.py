"""The generated part of docs/benchmarks.md: tables from a run's JSON, between two markers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.load.bars import judge
from benchmarks.load.processes import BenchmarkError
from benchmarks.load.report import shown
from benchmarks.load.results import Result
from benchmarks.load.run import Run

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"

Cell = Callable[[Result], str]


def rewrite(path: Path, run: Run) -> None:
    """Replace what stands between the markers.

    Raises:
        BenchmarkError: the file has no such markers.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchmarkError(f"{path.name}: expected the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{render(run)}\n{END}{after}", encoding="utf-8")


def render(run: Run) -> str:
    """Every table of a run."""
    by_name = {result.case: result for result in run.results}
    parts = [_origin(run), _bars(run.results), _bursts(by_name), _paced(by_name), _connections(by_name)]
    parts += [_waiting(by_name), _others(by_name)]
    if run.failed:
        parts.append("Failed: " + "; ".join(f"{case}" for case in run.failed) + ".\n")
    return "\n".join(part for part in parts if part)


def _origin(run: Run) -> str:
    hardware = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    software = ", ".join(f"{name} {value}" for name, value in run.versions.items())
    rows = [
        ("command", f"`{run.command}`"),
        ("date", run.started),
        ("machine", hardware),
        ("versions", software),
        ("pinned", run.layout),
        ("cases took", f"{sum(result.seconds for result in run.results):.0f} s"),
    ]
    return "## The run\n\n" + _table(("", ""), rows)


def _bars(results: Sequence[Result]) -> str:
    rows = [
        (verdict.bar.text, verdict.bar.limit_text, shown(verdict.value), "yes" if verdict.met else "**no**")
        for verdict in judge(results)
    ]
    return "## The bars\n\n" + _table(("what", "limit", "measured", "met"), rows) if rows else ""


def _bursts(results: Mapping[str, Result]) -> str:
    columns: dict[str, Cell] = {
        "case": lambda r: f"`{r.case}`: {r.about}",
        "matches/s": _figure("matches_per_second"),
        "least … greatest": _spread("matches_per_second"),
        "to naive": _to_naive("matches_per_second"),
        "node CPU": _figure("node_cpu_us_per_match"),
        "of naive's": _to_naive("node_cpu_us_per_match"),
        "Redis CPU": _figure("redis_cpu_us_per_match"),
        "of naive's ": _to_naive("redis_cpu_us_per_match"),
        "stub CPU": _figure("stub_cpu_us_per_match"),
        "load CPU": _figure("load_cpu_us_per_match"),
        "total CPU to one node's": _figure("total_cpu_to_one_node"),
        "left": _figure("players_left"),
    }
    chosen = [result for name, result in results.items() if name.startswith(("burst", "teams", "nodes", "workers"))]
    return _section("Everybody at once", "CPU in µs per match.", chosen, columns)


def _paced(results: Mapping[str, Result]) -> str:
    rows = [
        (
            f"`{result.case}`",
            frame,
            *(shown(result.figures.get(f"{frame}_{end}_ms")) for end in ("p50", "p95", "p99", "max")),
            *(shown(result.naive.get(f"{frame}_{end}_ms")) for end in ("p50", "p99")),
            shown(result.figures.get("node_cpu_us_per_match")),
            shown(result.figures.get("redis_cpu_us_per_match")),
            shown(result.figures.get("load_cpu_us_per_match")),
        )
        for result in results.values()
        if "match_found_p50_ms" in result.figures and "knee_matches_per_second" not in result.figures
        for frame in ("queued", "start_loading", "match_found")
    ]
    if not rows:
        return ""
    headings = (
        "case",
        "until",
        "p50",
        "p95",
        "p99",
        "max",
        "naive p50",
        "naive p99",
        "node CPU",
        "Redis CPU",
        "load CPU",
    )
    return "## Paced arrivals\n\nLatencies in ms from the scheduled moment, CPU in µs per match.\n\n" + _table(
        headings, rows
    )


def _connections(results: Mapping[str, Result]) -> str:
    rows = [
        (f"`{result.case}`", name, *_all_three(result, name))
        for result in (results[case] for case in ("echo", "accept", "memory") if case in results)
        for name in dict.fromkeys([*result.figures, *result.bare])
    ]
    if not rows:
        return ""
    headings = ("case", "figure", "match-server", "naive", "to naive", "bare endpoint", "to bare")
    return "## Connections\n\n" + _table(headings, rows)


def _waiting(results: Mapping[str, Result]) -> str:
    chosen = [result for result in results.values() if "tick_median_us" in result.figures]
    if not chosen:
        return ""
    names = dict.fromkeys(name for result in chosen for name in result.figures)
    rows = [(name, *(shown(result.figures.get(name)) for result in chosen)) for name in names]
    notes = "".join(f"- `{result.case}`: {note}\n" for result in chosen for note in result.notes)
    headings = ("figure", *(f"`{result.case}`" for result in chosen))
    return "## Waiting for want of slots\n\n" + _table(headings, rows) + "\n" + notes


def _others(results: Mapping[str, Result]) -> str:
    shown_above = ("burst", "teams", "nodes", "workers", "paced", "echo", "accept", "memory", "waiting")
    chosen = [result for name, result in results.items() if not name.startswith(shown_above)]
    rows = [
        (f"`{result.case}`", name, shown(value), " … ".join(shown(end) for end in result.spread.get(name, ())))
        for result in chosen
        for name, value in result.figures.items()
    ]
    if not rows:
        return ""
    about = "".join(f"- `{result.case}`: {result.about}\n" for result in chosen)
    return "## Other loads\n\n" + about + "\n" + _table(("case", "figure", "median", "least … greatest"), rows)


def _section(title: str, units: str, results: Sequence[Result], columns: Mapping[str, Cell]) -> str:
    if not results:
        return ""
    rows = [[cell(result) for cell in columns.values()] for result in results]
    return f"## {title}\n\n{units}\n\n" + _table([heading.strip() for heading in columns], rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _figure(name: str) -> Cell:
    return lambda result: shown(result.figures.get(name))


def _to_naive(name: str) -> Cell:
    return lambda result: shown(result.to_naive.get(name))


def _spread(name: str) -> Cell:
    return lambda result: " … ".join(shown(end) for end in result.spread.get(name, ()))


def _all_three(result: Result, name: str) -> tuple[str, ...]:
    values = (result.figures, result.naive, result.to_naive, result.bare, result.to_bare)
    return tuple(shown(figures.get(name)) for figures in values)
