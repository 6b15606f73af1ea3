"""The proposer over time: what changes between ticks, and tickets that are hard to match."""

import random
from dataclasses import replace

import pytest

from match_server.matching.propose import Proposer, propose
from match_server.matching.tickets import Meeting, Proposal, Ticket
from tests.matching.judge import violations
from tests.matching.pools import NOW, mode_of, party, solo

DUEL = mode_of(
    players=2,
    rules=[
        {
            "kind": "difference",
            "attribute": "rating",
            "max": 50,
            "widen": [{"after_seconds": 10, "max": 150}, {"after_seconds": 30, "max": 400}],
        }
    ],
)
TEAMS = mode_of(
    teams={"a": 5, "b": 5},
    party_max=5,
    rules=[{"kind": "difference", "attribute": "rating", "max": 5000}],
)


def tick(proposer: Proposer, now: float) -> list[Proposal]:
    return [proposal for proposal in proposer.tick(now) if proposal is not None]


def ids(proposal: Proposal) -> set[str]:
    return {ticket.ticket_id for ticket in proposal.tickets}


def test_an_incremental_look_finds_what_a_look_at_everything_would() -> None:
    chance = random.Random(4)  # noqa: S311 - a pool, to be repeated
    proposer = Proposer(DUEL)
    waiting: dict[str, Ticket] = {}
    for second in range(60):
        now = NOW + second + 0.001  # a window that widens at this very moment is seen at the next look
        for number in range(chance.randrange(5)):
            ticket = solo(second * 10 + number, waited=-second, rating=chance.gauss(1500, 300))
            waiting[ticket.ticket_id] = ticket
            proposer.add(ticket)
        for ticket_id in chance.sample(sorted(waiting), min(len(waiting), chance.randrange(2))):
            proposer.remove(ticket_id)
            del waiting[ticket_id]
        expected = propose(waiting.values(), now, DUEL)
        found = tick(proposer, now)
        assert sorted(map(sorted, map(ids, found))) == sorted(map(sorted, map(ids, expected)))
        for proposal in found:
            for ticket in proposal.tickets:
                del waiting[ticket.ticket_id]


def test_windows_that_widen_are_looked_at_again_when_they_do() -> None:
    proposer = Proposer(DUEL)
    for ticket in (solo(1, rating=1500.0), solo(2, rating=1640.0)):
        proposer.add(ticket)
    assert tick(proposer, NOW) == []
    assert proposer.next_look == pytest.approx(NOW + 10)
    assert tick(proposer, NOW + 9.9) == []
    assert len(tick(proposer, NOW + 10.1)) == 1


@pytest.mark.parametrize(("distance", "matches"), [(50.0, 1), (50.000001, 0)])
def test_the_edge_of_a_window_belongs_to_it(distance: float, matches: int) -> None:
    assert len(propose([solo(1), solo(2, rating=1500.0 + distance)], NOW, DUEL)) == matches


def test_an_idle_mode_whose_tickets_can_never_meet_costs_nothing() -> None:
    proposer = Proposer(mode_of(players=2, rules=[{"kind": "same", "attribute": "build"}]))
    for number in range(500):
        proposer.add(solo(number, build=f"build {number}"))
    assert tick(proposer, NOW) == []
    assert list(proposer.tick(NOW + 1)) == [], "it looked again"
    assert proposer.next_look == float("inf")


def test_ten_thousand_tickets_of_one_rating_are_all_matched() -> None:
    pool = [solo(number, waited=number / 1000) for number in range(10_001)]
    proposals = propose(pool, NOW, DUEL)
    assert len(proposals) == 5_000
    (left,) = {ticket.ticket_id for ticket in pool} - {t for proposal in proposals for t in ids(proposal)}
    assert left == "t0", "the youngest"


@pytest.mark.parametrize("spread", [300, 1500])
def test_a_crowd_is_matched_as_well_as_the_library_matches_it(spread: float) -> None:
    rustworkx = pytest.importorskip("rustworkx")
    chance = random.Random(7)  # noqa: S311 - a pool, to be repeated
    ratings = [min(5000.0, max(0.0, chance.gauss(2500, spread))) for _ in range(600)]
    pool = [solo(n, waited=chance.random() * 50, rating=rating) for n, rating in enumerate(ratings)]
    windows = [400 if NOW - t.enqueued_at >= 30 else 150 if NOW - t.enqueued_at >= 10 else 50 for t in pool]
    graph = rustworkx.PyGraph()
    graph.add_nodes_from(range(len(pool)))
    for one in range(len(pool)):
        for other in range(one):
            difference = abs(ratings[one] - ratings[other])
            if difference <= min(windows[one], windows[other]):
                graph.add_edge(one, other, 1_000_000 - int(100 * difference))
    best = rustworkx.max_weight_matching(graph, max_cardinality=True, weight_fn=int)
    proposals = propose(pool, NOW, DUEL)
    assert violations(DUEL, proposals, pool, NOW) == []
    assert len(proposals) >= 0.99 * len(best)
    cheapest = sum(abs(ratings[one] - ratings[other]) for one, other in best)
    assert sum(proposal.difference for proposal in proposals) <= 1.02 * cheapest + 50


def test_nobody_starves_beside_rivals_that_always_fit_better() -> None:
    """docs/matching.md: for each whole limit that a rival fits better, a minute of waiting outweighs it."""
    mode = mode_of(players=2, rules=[{"kind": "difference", "attribute": "rating", "max": 50}])
    proposer = Proposer(mode)
    proposer.add(solo(0, rating=1500.0))
    for second in range(1, 200):
        now = NOW + second
        for number in (1, 2, 3):  # two that are alike, and one that only the outsider and they accept
            proposer.add(solo(10 * second + number, waited=-second, rating=1545.0 + (number == 3)))
        matched = {ticket_id for proposal in tick(proposer, now) for ticket_id in ids(proposal)}
        if "t0" in matched:
            return
    raise AssertionError("never matched")


@pytest.mark.parametrize(
    ("sizes", "matches"),
    [
        ([5, 5], 1),
        ([3, 3, 2, 2], 1),
        ([4, 4, 1, 1], 1),
        ([3, 3, 3, 1], 0),  # ten players, and no two teams of five
        ([4, 3, 2, 1], 1),
        ([4, 4, 2], 0),
        ([3, 3, 3, 2, 2], 1),  # one of the threes is left over
        ([5, 3, 1, 1], 1),
    ],
)
def test_parties_fill_teams_in_the_only_way_there_is(sizes: list[int], matches: int) -> None:
    pool = [party(number, size, waited=number) for number, size in enumerate(sizes)]
    proposals = propose(pool, NOW, TEAMS)
    assert violations(TEAMS, proposals, pool, NOW) == []
    assert len(proposals) == matches


def test_a_party_that_fills_a_match_meets_nobody_else_and_no_rule_refuses_it() -> None:
    mode = mode_of(
        teams={"a": 2, "b": 2},
        party_max=4,
        rules=[
            {"kind": "difference", "attribute": "rating", "max": 10},
            {"kind": "team_difference", "attribute": "rating", "max": 10},
            {"kind": "latency", "attribute": "latency", "max": 5},
        ],
    )
    pool = [party(1, 4, ratings=(1000, 1500, 1600, 2000)), *(solo(n) for n in range(2, 5))]
    (proposal,) = propose(pool, NOW, mode)
    assert ids(proposal) == {"t1"}
    assert set(proposal.teams["a"]) in ({"p1.0", "p1.3"}, {"p1.1", "p1.2"}), "the most even teams"
    assert proposal.region == "eu"


def test_a_party_larger_than_every_team_waits_unless_it_fills_the_match() -> None:
    mode = mode_of(teams={"a": 2, "b": 2}, party_max=4)
    assert propose([party(1, 3), solo(2), solo(3)], NOW, mode) == []


def test_who_has_met_is_looked_at_again_when_that_is_forgotten_though_nobody_comes() -> None:
    proposer = Proposer(mode_of(players=2, rules=[{"kind": "rematch", "within_seconds": 100}]))
    for ticket in (solo(1, met=(Meeting("p2", NOW - 60),)), solo(2, met=(Meeting("p1", NOW - 60),))):
        proposer.add(ticket)
    assert list(filter(None, proposer.tick(NOW))) == []
    assert NOW + 40 <= proposer.next_look < NOW + 41
    assert len(list(filter(None, proposer.tick(proposer.next_look)))) == 1


def test_who_met_a_minute_ago_does_not_meet_again_before_time() -> None:
    mode = mode_of(players=2, rules=[{"kind": "rematch", "within_seconds": 100}])
    pool = [solo(1, met=(Meeting("p2", NOW - 60),)), solo(2, met=(Meeting("p1", NOW - 60),))]
    assert propose(pool, NOW, mode) == []
    assert len(propose(pool, NOW + 41, mode)) == 1
    assert len(propose([*pool, solo(3), solo(4)], NOW, mode)) == 2


def test_who_waited_18_minutes_and_whose_match_another_broke_goes_first() -> None:
    proposer = Proposer(DUEL)
    old = solo(0, waited=18 * 60, rating=1500.0)
    proposer.add(old)
    proposer.add(solo(1, waited=40, rating=1900.0))
    (broken,) = tick(proposer, NOW)
    assert ids(broken) == {"t0", "t1"}
    for number in (2, 3, 4):  # who came meanwhile, and who of them is nearest each other
        proposer.add(solo(number, waited=31, rating=1800.0 + number))
    proposer.add(replace(old, version=1))
    found = tick(proposer, NOW + 0.1)
    assert len(found) == 2, "its windows are as wide as they were"
    assert any("t0" in ids(proposal) for proposal in found)


def test_a_region_that_closes_is_no_region() -> None:
    mode = mode_of(players=2, rules=[{"kind": "latency", "attribute": "latency", "max": 60}])
    latency = {"eu": 20.0, "us": 50.0}
    pool = [solo(1, latency=latency), solo(2, latency=latency)]
    assert [proposal.region for proposal in propose(pool, NOW, mode)] == ["eu"]
    assert [proposal.region for proposal in propose(pool, NOW, mode, free_slots={"us": 1})] == ["us"]
    assert propose(pool, NOW, mode, free_slots={"eu": 0}) == []
    proposer = Proposer(mode)
    for ticket in pool:
        proposer.add(ticket)
    proposer.close("eu")
    proposer.close("us")
    assert tick(proposer, NOW) == []
    proposer.open("us")
    assert [proposal.region for proposal in tick(proposer, NOW + 1)] == ["us"]


def test_the_map_that_most_placed_first_is_taken() -> None:
    mode = mode_of(players=3, rules=[{"kind": "common", "attribute": "maps"}])
    lists = [("x", "y"), ("y", "x"), ("y", "z", "x")]
    (proposal,) = propose([solo(n, maps=maps) for n, maps in enumerate(lists)], NOW, mode)
    assert proposal.properties == {"maps": "y"}


def test_roles_are_given_by_liking() -> None:
    mode = mode_of(teams={"a": 3}, roles={"a": {"tank": 1, "healer": 1, "damage": 1}})
    pool = [
        solo(1, roles=("tank", "damage")),
        solo(2, roles=("tank",)),
        solo(3),  # anything
    ]
    (proposal,) = propose(pool, NOW, mode)
    assert proposal.roles == {"p1": "damage", "p2": "tank", "p3": "healer"}


def test_a_royale_forms_full_at_once_and_smaller_when_its_oldest_has_waited() -> None:
    mode = mode_of(players={"min": 3, "max": 6, "fill_seconds": 20}, party_max=4)
    assert len(propose([solo(n) for n in range(6)], NOW, mode)) == 1
    few = [solo(n) for n in range(4)]
    assert propose(few, NOW + 19.9, mode) == []
    assert len(propose(few, NOW + 20, mode)) == 1


def test_what_clients_send_leaves_nothing_behind_when_they_go() -> None:
    mode = mode_of(
        players=2,
        rules=[
            {"kind": "same", "attribute": "build"},
            {"kind": "common", "attribute": "maps"},
            {"kind": "latency", "attribute": "latency", "max": 50},
        ],
    )
    proposer = Proposer(mode)
    for number in range(700):  # more than there are bits and columns
        own = f"of {number}"
        proposer.add(solo(number, build=own, maps=(own,), latency={f"r{number}": 10.0}))
    for number in (1000, 1001):
        proposer.add(solo(number))
    assert [ids(proposal) for proposal in tick(proposer, NOW)] == [{"t1000", "t1001"}]
    for number in range(700):
        proposer.remove(f"t{number}")
    sizes = [len(column._known) for column in proposer.picture.columns.values()]  # type: ignore[attr-defined]  # inside
    assert sizes == [0, 0, 0]
    for number in (2000, 2001):
        proposer.add(solo(number))
    assert len(tick(proposer, NOW)) == 1
