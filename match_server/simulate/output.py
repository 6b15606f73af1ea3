"""What `match-server simulate` prints and writes: text, JSON, a line per match and player, a page with curves."""

import csv
import html
import io
import json
from collections.abc import Sequence

from match_server.simulate.figures import Figures, placed
from match_server.simulate.outcome import Outcome

WIDTH, HEIGHT, MARGIN = 640, 220, 40
COLOURS = ("#1f77b4", "#d62728")


def as_json(results: Sequence[Figures]) -> str:
    """All figures."""
    return json.dumps(list(results), indent=2, sort_keys=True) + "\n"


def as_text(figures: Figures) -> str:
    """The figures for a terminal."""
    players = figures["players"]
    lines = [
        f"{figures['mode']} (rules_version {figures['rules_version']}), {figures['minutes']:g} minutes",
        f"  players   {players['matched']} matched, {players['gave_up']} gave up, {players['unmatched']} unmatched",
        f"  matches   {figures['matches']}",
        "                        mean      p50      p95      max",
        _row("waiting seconds", figures["waiting_seconds"]),
        _row("difference", figures["difference"]),
    ]
    if "team_difference" in figures:
        lines.append(_row("team difference", figures["team_difference"]))
    if "regions" in figures:
        lines.append("  regions   " + ", ".join(f"{name} {count}" for name, count in figures["regions"].items()))
    lines.append("  waiting seconds by tenth of the players")
    lines.extend(
        _row(f"  {tenth['from']:g} to {tenth['to']:g}", tenth["waiting_seconds"]) for tenth in figures["by_decile"]
    )
    lines.append("  waiting seconds by party size")
    lines.extend(_row(f"  {size}", waits) for size, waits in figures["by_party_size"].items())
    return "\n".join(lines) + "\n"


def _row(name: str, of: Figures) -> str:
    if not of["count"]:
        return f"  {name:<18}        -"
    return f"  {name:<18} {of['mean']:>8.1f} {of['p50']:>8.1f} {of['p95']:>8.1f} {of['max']:>8.1f}"


def as_matches(outcome: Outcome) -> str:
    """A line for each match and player."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["match", "at_seconds", "player_id", "party_id", "team", "role", "region", "waited_seconds"])
    for number, match in enumerate(outcome.matches):
        proposal = match.proposal
        teams = {player: name for name, players in proposal.teams.items() for player in players}
        for ticket in proposal.tickets:
            party = ticket.ticket_id if len(ticket.members) > 1 else ""
            for member in ticket.members:
                player = member.player_id
                where = [teams.get(player, ""), proposal.roles.get(player, ""), proposal.region or ""]
                writer.writerow(
                    [number, f"{match.at:.3f}", player, party, *where, f"{match.at - ticket.enqueued_at:.3f}"]
                )
    return text.getvalue()


def as_page(outcomes: Sequence[Outcome], results: Sequence[Figures]) -> str:
    """A page with the curves, which loads nothing from elsewhere."""
    waits = [[player.waited for player in placed(outcome)] for outcome in outcomes]
    differences = [[match.proposal.difference for match in outcome.matches] for outcome in outcomes]
    names = [f"{of['mode']} {of['rules_version']}" for of in results]
    parts = [
        _chart("Waiting: share of the players that were matched within so many seconds", waits, names),
        _chart("Difference: share of the matches with at most so much", differences, names),
        *(f"<pre>{html.escape(as_text(of))}</pre>" for of in results),
    ]
    title = html.escape(" and ".join(names))
    style = "body{font:15px sans-serif;max-width:45em;margin:2em auto}svg{width:100%}text{font-size:12px}"
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>{title}</title><style>{style}</style>\n"
        + "\n".join(parts)
        + "\n</html>\n"
    )


def _chart(title: str, series: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """The cumulated shares of some series; the last hundredth is left out, so that the rest can be seen."""
    ordered = [sorted(values) for values in series]
    most = max((values[int(len(values) * 0.99)] for values in ordered if values), default=0.0) or 1.0
    curves = []
    for number, values in enumerate(ordered):
        points = [(value, (place + 1) / len(values)) for place, value in enumerate(values) if value <= most]
        step = max(1, len(points) // 200)
        drawn = " ".join(
            f"{MARGIN + value / most * (WIDTH - 2 * MARGIN):.1f},{HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN):.1f}"
            for value, share in points[::step]
        )
        colour = COLOURS[number % len(COLOURS)]
        curves.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{drawn}"/>')
        curves.append(
            f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - MARGIN - 16 - 16 * number}" text-anchor="end"'
            f' fill="{colour}">{html.escape(names[number])}</text>'
        )
    axis = "".join(
        f'<text x="{MARGIN + part / 4 * (WIDTH - 2 * MARGIN):.0f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">'
        f"{most * part / 4:.0f}</text>"
        for part in range(5)
    )
    base = HEIGHT - MARGIN
    return (
        f'<h2>{html.escape(title)}</h2>\n<svg viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<path d="M{MARGIN} {MARGIN}V{base}H{WIDTH - MARGIN}" fill="none" stroke="#888"/>{axis}{"".join(curves)}</svg>'
    )
