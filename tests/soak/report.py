"""The result of a run: two tables for people, a JSON document for programs."""

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.soak.faults import Struck
from tests.soak.invariants import Invariant
from tests.soak.soak import Outcome

_WIDTH_WITHOUT_TERMINAL = 150
_EXAMPLES_SHOWN = 5


def show(outcome: Outcome, console: Console) -> None:
    """Print the run for people."""
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    console.print(_invariants(outcome))
    for invariant in Invariant:
        for example in outcome.findings.examples(invariant)[:_EXAMPLES_SHOWN]:
            console.print(Text(f"{invariant.text}: {example}", style="red"), soft_wrap=True)
    console.print(_leftovers(outcome))
    for line in _told(outcome):
        console.print(Text(line), soft_wrap=True)
    console.print(Text("clean", style="green") if outcome.clean else Text("NOT clean", style="red"))


def to_json(outcome: Outcome) -> str:
    """Write everything down."""
    ledger = outcome.ledger
    document = {
        "version": 1,
        "clean": outcome.clean,
        "seconds": round(outcome.seconds, 3),
        "settings": asdict(outcome.options),
        "invariants": [
            {
                "numbers": invariant.numbers,
                "text": invariant.text,
                "count": outcome.findings.count(invariant),
                "examples": outcome.findings.examples(invariant),
            }
            for invariant in Invariant
        ],
        "left_behind": [asdict(row) for row in outcome.leftovers],
        "faults": [_fault(struck, outcome.began) for struck in ledger.struck],
        "fates": _fates(outcome),
        "errors": _errors(outcome),
        "places_lost_within_the_contract": ledger.excused_places(),
        "waves": len(ledger.waves),
        "looks": outcome.looks,
    }
    return json.dumps(document, indent=2)


def _fault(struck: Struck, origin: float) -> dict[str, Any]:
    """A fault, its times in seconds after the beginning of the run."""
    times = {"began": round(struck.began - origin, 3), "ended": round(struck.ended - origin, 3)}
    return asdict(struck) | times


def _invariants(outcome: Outcome) -> Table:
    table = Table(
        title="what must hold", title_justify="left", caption="numbers of docs/reliability.md; 14 has its own tests"
    )
    table.add_column("no.", no_wrap=True)
    table.add_column("counted against it")
    table.add_column("count", justify="right")
    table.add_column("")
    for invariant in Invariant:
        count = outcome.findings.count(invariant)
        table.add_row(invariant.numbers, invariant.text, str(count), _verdict(not count))
    return table


def _leftovers(outcome: Outcome) -> Table:
    table = Table(title="what was left behind", title_justify="left")
    table.add_column("")
    for heading in ("at the start", "warm", "at rest", "allowed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in outcome.leftovers:
        table.add_row(row.what, row.at_start, row.warm, row.at_end, row.limit, _verdict(row.ok))
    return table


def _told(outcome: Outcome) -> list[str]:
    ledger, fates = outcome.ledger, _fates(outcome)
    seen, matches = ledger.sessions_seen()
    slowest = max((wave.p99_ms for wave in ledger.waves if wave.p99_ms is not None), default=0.0)
    excused = ledger.excused_places()
    return [
        f"{fates.total()} players in {len(ledger.waves)} waves: " + _listed(fates),
        f"{matches} matches, {seen} of their sessions seen on the servers that their players were sent to; "
        f"{outcome.looks} looks into Redis",
        f"{len(ledger.struck)} faults: {_listed(Counter(struck.fault for struck in ledger.struck)) or 'none'}",
        f"refusals that players met: {_listed(_errors(outcome)) or 'none'}; "
        f"slowest wave: p99 {slowest / 1000:.1f} s from enqueue to match_found",
        f"places lost within the contract: {_listed(excused) or 'none'}",
        f"{outcome.seconds:.0f} s in all, seed {outcome.options.seed}",
    ]


def _fates(outcome: Outcome) -> Counter[str]:
    return Counter(player.fate for wave in outcome.ledger.waves for player in wave.players.values())


def _errors(outcome: Outcome) -> Counter[str]:
    errors: Counter[str] = Counter()
    for wave in outcome.ledger.waves:
        errors.update(wave.errors)
    return errors


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted.most_common())


def _verdict(ok: bool) -> Text:
    return Text("ok", style="green") if ok else Text("NOT OK", style="red")
