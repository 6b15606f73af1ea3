"""Random stories of tickets and parties: under any proposal, made by anybody at any moment, the invariants hold."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from match_server.store.tickets import Formed, Part, Proposal, Stale, WaitingTicket
from tests.store.actions import Actions
from tests.store.pool import LOADING_SECONDS, RANKED, SECOND_US, SIZES
from tests.store.ranked_pool import RULES, RankedPool
from tests.store.world import PLAYERS, STORIES, nodes, picks, players

parties = st.sampled_from([("", 1), ("", 1), ("pals", 2), ("pals", 2), ("crew", 3), ("crew", 2)])


class Tickets(Actions):
    """Players alone and in parties, and proposers with pictures of any age."""

    pool: RankedPool
    sizes = SIZES | {RANKED: 0}

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, Part] = {}
        self.picture: list[WaitingTicket] = []  # every ticket that a proposer has ever seen, in each version

    # --- players ---

    @rule(player=players, party=parties, node=nodes)
    def arrive(self, player: str, party: tuple[str, int], node: str) -> None:
        before = self.pool.record(player)
        part = Part({"of": player}, *party)
        connection = before.get("connection") or self.fresh(player)
        operation = self.fresh_number()
        (code,) = self.once(
            lambda: self.pool.enqueue(
                player, mode=RANKED, node=node, connection=connection, operation=operation, part=part
            )
        )
        if before.get("state", "matched") != "matched":
            assert code == ("already_in_queue" if before.get("connection") else "elsewhere")
        elif code != "party_mismatch":
            assert code == self.pool.record(player)["state"]
            self.parts[player] = part

    @rule(node=nodes)
    def everyone_arrives_and_is_matched(self, node: str) -> None:
        """The usual way, so that stories come far."""
        usual = [("pals", 2), ("pals", 2), ("", 1), *[("crew", 3)] * 3]
        for player, party in zip(PLAYERS, usual, strict=True):
            self.arrive(player, party, node)
        self.look()
        waiting = list(self.pool.waiting().values())
        if waiting:
            self.propose_all([waiting])

    # --- proposers ---

    @rule()
    def look(self) -> None:
        self.picture.extend(ticket for ticket in self.pool.waiting().values() if ticket not in self.picture)

    @precondition(lambda self: self.picture)
    @rule(groups=st.lists(st.lists(picks, min_size=1, max_size=4), min_size=1, max_size=3))
    def propose(self, groups: list[list[int]]) -> None:
        self.propose_all([[self.picture[-1 - pick % len(self.picture)] for pick in group] for group in groups])

    def propose_all(self, groups: list[list[WaitingTicket]]) -> None:
        self.pool.do(self.pool.tickets.publish_rules(0, {RANKED: RULES}, only_if_lost=True))
        waiting = self.pool.waiting()
        free = sum(server.free for server in self.pool.servers().values())
        outcomes = self.pool.do(
            self.pool.tickets.form(
                RANKED,
                [Proposal(tuple(group), {}) for group in groups],
                rules_version=RULES,
                loading_timeout_us=LOADING_SECONDS * SECOND_US,
            )
        )
        for group, outcome in zip(groups, outcomes, strict=True):
            ids = [ticket.ticket_id for ticket in group]
            if isinstance(outcome, Stale):
                assert outcome.ticket_id in ids
            if isinstance(outcome, Formed):
                assert len(set(ids)) == len(ids)
                for ticket in group:
                    assert waiting.pop(ticket.ticket_id) == ticket, "it waited in this version, and in one match alone"
                    for player in ticket.players:
                        assert self.pool.session_of(player) == outcome.loading_session_id
        assert sum(isinstance(outcome, Formed) for outcome in outcomes) <= free, "no match without a slot"


def test_the_invariants_hold_under_any_proposal(redis_url: str, prefix: str) -> None:
    made = 0

    def new_pool() -> RankedPool:
        nonlocal made
        made += 1
        return RankedPool(redis_url, f"{prefix}{made}:")

    machine = type("Machine", (Tickets,), {"new_pool": staticmethod(new_pool)})
    run_state_machine_as_test(machine, settings=STORIES)
