"""What proposals hold for every pool and every mode, against a judge that shares no code with the proposer."""

import random
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from match_server.matching.modes import GameMode
from match_server.matching.propose import Proposer, propose
from match_server.matching.tickets import Ticket
from tests.matching.judge import accepts, all_pairs, best_pairs, limit, violations
from tests.matching.pools import NOW, mode_of, modes, rule_lists, solo, tickets

quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
CREDIT = 1 / 60
FORMS: list[dict[str, Any]] = [{"players": 2}, {"players": 3}, {"teams": {"a": 2, "b": 2}}]


def pair_cost(mode: GameMode, one: Ticket, other: Ticket) -> float:
    """The rules' values over their first limits, less the credit for waiting."""
    total = -CREDIT * (2 * NOW - one.enqueued_at - other.enqueued_at)
    first: Any = one.members[0].attributes
    second: Any = other.members[0].attributes
    for rule in mode.rules or ():
        if rule.kind == "difference":
            total += abs(first["rating"] - second["rating"]) / (rule.max or 1)
        if rule.kind == "latency":
            shared = first["latency"].keys() & second["latency"].keys()
            worst = [max(first["latency"][region], second["latency"][region]) for region in shared]
            total += min((ms for ms in worst if ms <= limit(rule, [one, other], NOW)), default=0) / (rule.max or 1)
    return total


@st.composite
def modes_with_pools(draw: st.DrawFn) -> tuple[GameMode, list[Ticket]]:
    mode = draw(modes())
    return mode, draw(tickets(most=14, party_max=mode.party_max))


@quick
@given(modes_with_pools())
def test_no_proposal_breaks_a_rule(mode_and_pool: tuple[GameMode, list[Ticket]]) -> None:
    mode, pool = mode_and_pool
    assert violations(mode, propose(pool, NOW, mode), pool, NOW) == []


@quick
@given(modes_with_pools(), st.dictionaries(st.sampled_from(["eu", "us", "asia", ""]), st.integers(0, 2)))
def test_no_proposal_goes_where_no_slot_is_free(
    mode_and_pool: tuple[GameMode, list[Ticket]], free_slots: dict[str, int]
) -> None:
    mode, pool = mode_and_pool
    proposals = propose(pool, NOW, mode, free_slots=free_slots)
    assert violations(mode, proposals, pool, NOW, free_slots) == []


@quick
@given(modes_with_pools(), st.randoms(use_true_random=False))
def test_the_same_pool_in_any_order_gives_the_same_proposals(
    mode_and_pool: tuple[GameMode, list[Ticket]], order: random.Random
) -> None:
    mode, pool = mode_and_pool
    shuffled = list(pool)
    order.shuffle(shuffled)
    assert propose(shuffled, NOW, mode) == propose(pool, NOW, mode)


@quick
@given(rule_lists(teams=False), tickets(most=9))
def test_pairs_are_as_many_as_can_be_and_then_as_cheap(rules: list[dict[str, Any]], pool: list[Ticket]) -> None:
    mode = mode_of(players=2, rules=rules)

    costs = {
        (i, j): pair_cost(mode, pool[i], pool[j]) for i, j in all_pairs(pool) if accepts(mode, [pool[i], pool[j]], NOW)
    }
    proposals = propose(pool, NOW, mode)
    assert violations(mode, proposals, pool, NOW) == []
    most, cheapest = best_pairs(costs, len(pool))
    found = sum(pair_cost(mode, *proposal.tickets) for proposal in proposals)
    assert len(proposals) == most
    assert abs(found - cheapest) < 1e-4


@quick
@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.sampled_from(FORMS))
def test_of_tickets_that_are_alike_the_oldest_go_first(waited: list[int], form: dict[str, Any]) -> None:
    mode = mode_of(**form, rules=[{"kind": "difference", "attribute": "rating", "max": 10}])
    pool = [solo(number, waited=seconds) for number, seconds in enumerate(waited)]
    matched = {ticket.ticket_id for proposal in propose(pool, NOW, mode) for ticket in proposal.tickets}
    assert len(matched) == len(pool) // mode.players * mode.players
    oldest = sorted(pool, key=lambda ticket: ticket.enqueued_at)[: len(matched)]
    ages = sorted(ticket.enqueued_at for ticket in pool if ticket.ticket_id in matched)
    assert ages == sorted(ticket.enqueued_at for ticket in oldest)


@quick
@given(modes_with_pools(), st.integers(1, 40))
def test_a_price_on_seconds_breaks_no_rule(mode_and_pool: tuple[GameMode, list[Ticket]], price: int) -> None:
    mode, pool = mode_and_pool
    if any(rule.kind == "difference" for rule in mode.rules or ()):
        mode = replace(mode, second_is_worth={"rating": float(price)})
    proposer = Proposer(mode)
    found = []
    for number, ticket in enumerate(sorted(pool * 2, key=lambda ticket: ticket.enqueued_at)):
        proposer.add(replace(ticket, enqueued_at=NOW - 50 + number))
    found += [proposal for proposal in proposer.tick(NOW) if proposal is not None]
    tickets_seen = [ticket for proposal in found for ticket in proposal.tickets]
    assert violations(mode, found, tickets_seen, NOW) == []
