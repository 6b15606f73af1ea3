"""The result of a run, for people (a table) and for programs (a JSON document).

The document, `"version": 1`; fields may be added, none is renamed:

    version, passed, interrupted, seconds
    settings             what the run was told, the seed included
    players, matches, matches_per_second, match_size (null: none was seen)
    behaviours           {name: {players, expected: [fate], fates: {fate: count}}}
    latency_ms           {"all" | "normal": {"queued" | "start_loading" | "match_found":
                             {count, p50, p90, p95, p99, max} or null}}, from the first enqueue
    rooms                null, or {players, moves, update_latency_ms, tick_lag_ms: {count, p50, p99, max} or null,
                         bytes_per_second (per player), rejections: {reason: count}}
    refusals             {fate: the service's words to one of its players}, of the fates `refused:…`
    errors               {code: count} of the `error` frames that nobody had asked for
    links_lost, places_lost
    quality              {"difference" | "team_difference": {count, p50, …} or null}, of the matches; {} without --modes
    regions              {region: matches}
    violations           [{player_id, text}]
    unexpected           [{player_id, behaviour, fate}]
    objectives           [{name, limit, actual (null: nothing was measured), met}]
"""

import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from test_client.behaviours import BEHAVIOURS
from test_client.objectives import Objective
from test_client.options import SwarmOptions
from test_client.player import INTERRUPTED, LEFT_WAITING, LOST, VIOLATION
from test_client.rooms import RoomsReport
from test_client.summary import ALL, MOMENTS, NORMAL, Percentiles, Summary

LINES_SHOWN = 10  # of violations, and of unexpected fates; the JSON document has them all


def to_json(summary: Summary, objectives: Sequence[Objective], options: SwarmOptions) -> str:
    """Write the document described above. The player key stays out of it."""
    settings = {field.name: getattr(options, field.name) for field in fields(options)} | {
        "mix": dict(options.mix),
        "play_mix": dict(options.play_mix),
        "loading": str(options.loading),
        "attributes": {name: str(drawn) for name, drawn in options.attributes.items()},
        "latencies": options.latencies and str(options.latencies),
        "parties": dict(options.parties),
    }
    del settings["player_key"], settings["rules"]
    document: dict[str, Any] = {
        "version": 1,
        "passed": passed(summary, objectives),
        "interrupted": summary.interrupted,
        "seconds": round(summary.seconds, 3),
        "settings": settings,
        "players": summary.players,
        "matches": summary.matches,
        "matches_per_second": round(summary.matches_per_second, 3),
        "match_size": summary.match_size,
        "behaviours": {
            name: {"players": fates.total(), "expected": sorted(BEHAVIOURS[name].fates), "fates": dict(fates)}
            for name, fates in summary.fates.items()
        },
        "latency_ms": {
            who: {moment: _rounded(values) for moment, values in moments.items()}
            for who, moments in summary.latency_ms.items()
        },
        "refusals": dict(summary.refusals),
        "errors": dict(summary.errors),
        "links_lost": summary.links_lost,
        "places_lost": summary.places_lost,
        "quality": {name: _rounded(values) for name, values in summary.quality.items()},
        "regions": dict(summary.regions),
        "rooms": summary.rooms,
        "violations": [asdict(violation) for violation in summary.violations],
        "unexpected": [
            {"player_id": player_id, "behaviour": behaviour, "fate": fate}
            for player_id, behaviour, fate in summary.unexpected
        ],
        "objectives": [{**asdict(objective), "met": objective.met} for objective in objectives],
    }
    return json.dumps(document, indent=2)


def passed(summary: Summary, objectives: Iterable[Objective]) -> bool:
    """The run came to its end and met every objective."""
    return not summary.interrupted and all(objective.met for objective in objectives)


def show(summary: Summary, objectives: Sequence[Objective], options: SwarmOptions, console: Console) -> None:
    """Print the run for people."""
    if summary.refused_all:
        console.print(Text(f"test-client: no player came in: {summary.refused_all}", style="red"), soft_wrap=True)
        return
    parts: list[RenderableType] = [_fates_table(summary, objectives), _latency_table(summary)]
    if summary.quality:
        parts.append(_quality_table(summary))
    parts += _some("violation", [f"{each.player_id}: {each.text}" for each in summary.violations])
    parts += _some("unexpected", [f"{player}: {name} ended {fate}" for player, name, fate in summary.unexpected])
    if summary.rooms is not None:
        parts += _rooms_parts(summary.rooms)
    parts += [Text(f"{fate}: {words}", style="red") for fate, words in summary.refusals.items()]
    if summary.errors:
        listed = ", ".join(f"{code} {count}" for code, count in summary.errors.most_common())
        parts.append(Text(f"errors: {listed}"))
    parts.append(
        Text(
            f"{summary.matches} matches, {summary.matches_per_second:.1f} per second; "
            f"{summary.links_lost} links lost, {summary.places_lost} places lost; "
            f"{summary.seconds:.1f} s, seed {options.seed}"
        )
    )
    if summary.interrupted:
        parts.append(Text("interrupted: nothing is said of the objectives", style="yellow"))
    else:
        parts += [_objective_line(objective) for objective in objectives]
    console.print(Group(*parts))


def _fates_table(summary: Summary, objectives: Sequence[Objective]) -> Table:
    fates = sorted({fate for counted in summary.fates.values() for fate in counted})
    table = Table(title="players", title_justify="left", caption="✓ as it should be   ✗ not", caption_justify="left")
    table.add_column("behaviour", no_wrap=True)
    for heading in ("players", *fates):
        table.add_column(heading.replace(":", ":\n"), justify="right")
    bad = {(behaviour, fate) for _, behaviour, fate in summary.unexpected}
    if any(each.name == "max_left_waiting" and not each.met for each in objectives):
        bad |= {(behaviour, LEFT_WAITING) for behaviour in summary.fates}
    for name, counted in summary.fates.items():
        table.add_row(name, str(counted.total()), *(_fate_cell(name, fate, counted[fate], bad) for fate in fates))
    return table


def _fate_cell(behaviour: str, fate: str, count: int, bad: Container[tuple[str, str]]) -> Text:
    if not count:
        return Text("")
    good = (behaviour, fate) not in bad and fate not in {LOST, VIOLATION, INTERRUPTED}
    return Text(f"{count} {'✓' if good else '✗'}", style="green" if good else "red")


def _latency_table(summary: Summary) -> Table:
    table = Table(title="milliseconds from enqueue", title_justify="left")
    for heading in ("players", "to"):
        table.add_column(heading)
    for heading in ("count", "p50", "p90", "p95", "p99", "max"):
        table.add_column(heading, justify="right")
    mixed = NORMAL in summary.fates and len(summary.fates) > 1
    for who in (ALL, NORMAL) if mixed else (ALL,):
        for moment in MOMENTS:
            table.add_row(who, moment, *_latency_cells(summary.latency_ms[who][moment]))
    return table


def _quality_table(summary: Summary) -> Table:
    table = Table(title="matches, by the mode's rules", title_justify="left")
    table.add_column("")
    for heading in ("count", "p50", "p90", "p95", "p99", "max"):
        table.add_column(heading, justify="right")
    for name, values in summary.quality.items():
        table.add_row(name.replace("_", " "), *_latency_cells(values))
    for region, count in sorted(summary.regions.items()):
        table.add_row(f"region {region}", str(count))
    return table


def _rooms_parts(rooms: RoomsReport) -> list[RenderableType]:
    table = Table(title="rooms, milliseconds", title_justify="left")
    for heading in ("", "count", "p50", "p99", "max"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, values in (("update latency", rooms["update_latency_ms"]), ("tick lag", rooms["tick_lag_ms"])):
        shown = [f"{values[end]:.1f}" for end in ("p50", "p99", "max")] if values else []
        table.add_row(name, f"{values['count']:,.0f}" if values else "0", *shown)
    rejected = ", ".join(f"{reason} {count:,}" for reason, count in rooms["rejections"].items())
    played = (
        f"{rooms['players']:,} players, {rooms['moves']:,} moves, {rooms['bytes_per_second']:,.0f} bytes per second"
    )
    return [table, Text(f"{played} to each; rejected: {rejected or 'nothing'}")]


def _latency_cells(values: Percentiles | None) -> list[str]:
    if values is None:
        return ["0"]
    return [
        str(values.count),
        *(f"{value:.1f}" for value in (values.p50, values.p90, values.p95, values.p99, values.max)),
    ]


def _some(label: str, lines: Sequence[str]) -> list[Text]:
    shown = [Text(f"{label}: {line}", style="red") for line in lines[:LINES_SHOWN]]
    if len(lines) > LINES_SHOWN:
        shown.append(Text(f"… and {len(lines) - LINES_SHOWN} more (--json lists them all)", style="red"))
    return shown


def _objective_line(objective: Objective) -> Text:
    what = objective.name.removeprefix("max_").replace("_", " ")
    actual = "not measured" if objective.actual is None else f"{objective.actual:g}"
    line = f"{'✓' if objective.met else '✗'} {what}: {actual} (at most {objective.limit:g})"
    return Text(line, style="green" if objective.met else "red")


def _rounded(values: Percentiles | None) -> dict[str, float] | None:
    if values is None:
        return None
    return {name: round(value, 3) for name, value in asdict(values).items()}
