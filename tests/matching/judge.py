"""An outsider's judgement of proposals, written from the documentation and sharing no code with the proposer."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import inf
from typing import Any

from match_server.matching.modes import GameMode
from match_server.matching.rules import Rule
from match_server.matching.tickets import Member, Proposal, Ticket


def violations(
    mode: GameMode,
    proposals: Sequence[Proposal],
    tickets: Iterable[Ticket],
    now: float,
    free_slots: Mapping[str, int] | None = None,
) -> list[str]:
    """What these proposals do that the mode does not allow."""
    waiting = {ticket.ticket_id: ticket for ticket in tickets}
    used = Counter(ticket.ticket_id for proposal in proposals for ticket in proposal.tickets)
    found = [f"{ticket_id} is in {times} proposals" for ticket_id, times in used.items() if times > 1]
    found += [f"{ticket_id} does not wait" for ticket_id in used if ticket_id not in waiting]
    if free_slots is not None:
        if len(proposals) > sum(free_slots.values()):
            found.append("more matches than slots")
        regions = Counter(proposal.region for proposal in proposals if proposal.region is not None)
        found += [f"too many in {region}" for region, times in regions.items() if times > free_slots.get(region, 0)]
    for proposal in proposals:
        found += _proposal(mode, proposal, now)
    return found


def accepts(mode: GameMode, tickets: Sequence[Ticket], now: float) -> bool:
    """Whether the rules that do not depend on teams take these tickets together, with every region open."""
    return not any(_broken(mode, rule, tickets, now, None) for rule in mode.rules or ())


def _proposal(mode: GameMode, proposal: Proposal, now: float) -> Iterable[str]:
    tickets = proposal.tickets
    players = [member.player_id for ticket in tickets for member in ticket.members]
    if len(set(players)) != len(players):
        yield "a player twice"
    oldest = max(now - ticket.enqueued_at for ticket in tickets)
    least = mode.least_players if oldest >= mode.fill_seconds else mode.players
    if not least <= len(players) <= mode.players:
        yield f"{len(players)} players"
    private = len(tickets) == 1 and len(players) == mode.players
    yield from _teams(mode, proposal, players, private=private)
    yield from _roles(mode, proposal, private=private)
    if not private:
        for rule in mode.rules or ():
            if _broken(mode, rule, tickets, now, proposal):
                yield f"{rule.kind} is broken"


def _teams(mode: GameMode, proposal: Proposal, players: list[str], *, private: bool) -> Iterable[str]:
    if not mode.teams:
        if proposal.teams:
            yield "teams in a mode without"
        return
    if {name: len(inside) for name, inside in proposal.teams.items()} != dict(mode.teams):
        yield "teams are not full"
    if sorted(player for inside in proposal.teams.values() for player in inside) != sorted(players):
        yield "teams are not of the match's players"
    for ticket in proposal.tickets:
        teams = {name for name, inside in proposal.teams.items() for m in ticket.members if m.player_id in inside}
        if len(teams) > 1 and not (private and len(ticket.members) > max(mode.teams.values())):
            yield f"{ticket.ticket_id} is split"


def _roles(mode: GameMode, proposal: Proposal, *, private: bool) -> Iterable[str]:
    for team, quota in mode.roles.items():
        if Counter(proposal.roles.get(player) for player in proposal.teams[team]) != Counter(quota):
            yield f"roles of {team} are not filled"
    for member in _members(proposal.tickets):
        liked: Any = member.attributes.get("roles", ())
        if mode.roles and liked and proposal.roles.get(member.player_id) not in liked and not private:
            yield f"{member.player_id} does not play its role"


def _members(tickets: Sequence[Ticket]) -> list[Member]:
    return [member for ticket in tickets for member in ticket.members]


def limit(rule: Any, tickets: Sequence[Ticket], now: float) -> float:
    """The limit of a rule for a match of these tickets."""

    def of(age: float) -> float:
        if rule.optional_after_seconds is not None and age >= rule.optional_after_seconds:
            return inf
        now_max = rule.max
        for step in rule.widen:
            if age >= step.after_seconds:
                now_max = step.max
        if rule.widen_per_second:
            now_max = min(rule.max + rule.widen_per_second * max(0, age), inf if rule.up_to is None else rule.up_to)
        return float(now_max)

    ages = [now - ticket.enqueued_at for ticket in tickets]
    return of(max(ages)) if rule.age == "oldest" else min(of(age) for age in ages)


def _broken(  # noqa: PLR0911 - one for each kind of rule
    mode: GameMode, rule: Rule, tickets: Sequence[Ticket], now: float, proposal: Proposal | None
) -> bool:
    members = _members(tickets)
    values: list[Any] = [m.attributes.get(getattr(rule, "attribute", "")) for m in members]
    asked = [
        ticket
        for ticket in tickets
        if rule.optional_after_seconds is None or now - ticket.enqueued_at < rule.optional_after_seconds
    ]
    match rule.kind:
        case "difference":
            return bool(max(values) - min(values) > limit(rule, tickets, now))
        case "team_difference":
            means = _team_means(proposal, members, rule.attribute) if proposal else [0.0]
            return max(means) - min(means) > limit(rule, tickets, now) + 1e-6
        case "party_balance":
            return proposal is not None and _imbalance(proposal) > limit(rule, tickets, now)
        case "same":
            return bool(asked) and len(set(values)) > 1
        case "common":
            shared = set.intersection(*map(set, values))
            chosen = proposal.properties.get(rule.attribute) if proposal else None
            return (bool(asked) and not shared) or (chosen is not None and chosen not in shared)
        case "latency":
            most = limit(rule, tickets, now)
            regions = [proposal.region] if proposal and proposal.region else {r for v in values for r in v}
            reached = any(all(v.get(region, inf) <= most for v in values) for region in regions)
            return not reached and most < inf
        case "apart":
            ids = {member.player_id for member in members}
            mates = {m.player_id: {o.player_id for o in ticket.members} for ticket in tickets for m in ticket.members}
            listed = [(m, set(m.attributes[rule.attribute])) for ticket in asked for m in ticket.members]  # type: ignore[arg-type]  # a list
            return any(banned & (ids - mates[m.player_id]) for m, banned in listed)
        case "rematch":
            return _met(mode, rule, tickets, asked, now, proposal)
    raise AssertionError(rule)


def _met(
    mode: GameMode, rule: Any, tickets: Sequence[Ticket], asked: Sequence[Ticket], now: float, proposal: Proposal | None
) -> bool:
    team_of = {p: name for name, inside in (proposal.teams if proposal else {}).items() for p in inside}
    for ticket in asked:
        own = {member.player_id for member in ticket.members}
        for member in ticket.members:
            for meeting in member.met:
                other = meeting.player_id
                if other in own or now - meeting.at >= rule.within_seconds:
                    continue
                there = any(other == m.player_id for m in _members(tickets))
                mate = bool(team_of) and team_of.get(other) == team_of[member.player_id]
                undecided = proposal is None and len(mode.teams) > 1 and mode.players > 2
                if there and (rule.with_teammates or not (mate or undecided)):
                    return True
    return False


def _team_means(proposal: Proposal, members: Sequence[Member], attribute: str) -> list[float]:
    value: dict[str, Any] = {member.player_id: member.attributes[attribute] for member in members}
    return [sum(value[player] for player in inside) / len(inside) for inside in proposal.teams.values()]


def _imbalance(proposal: Proposal) -> int:
    party = {member.player_id: len(ticket.members) for ticket in proposal.tickets for member in ticket.members}
    largest = [max(party[player] for player in inside) for inside in proposal.teams.values()]
    return max(largest) - min(largest)


def best_pairs(costs: Mapping[tuple[int, int], float], count: int) -> tuple[int, float]:
    """Of all sets of these pairs, the most pairs, and of those the smallest sum: by looking at every set."""
    best = (0, 0.0)

    def go(first: int, free: frozenset[int], pairs: int, cost: float) -> None:
        nonlocal best
        if (-pairs, cost) < (-best[0], best[1]):
            best = (pairs, cost)
        if first >= count:
            return
        go(first + 1, free, pairs, cost)
        if first in free:
            for other in range(first + 1, count):
                if other in free and (first, other) in costs:
                    go(first + 1, free - {first, other}, pairs + 1, cost + costs[first, other])

    go(0, frozenset(range(count)), 0, 0.0)
    return best


def all_pairs(tickets: Sequence[Ticket]) -> Iterable[tuple[int, int]]:
    return combinations(range(len(tickets)), 2)
