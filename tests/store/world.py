"""The world of the property test: dedicated servers, nodes and a Redis that do anything at any moment."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from match_server.servers.provider import Order
from match_server.store.journey import Outcome
from match_server.store.tickets import Part
from tests.shared.event_journal import EventJournal
from tests.shared.invariants import contradictions
from tests.shared.look import Look
from tests.shared.stories import Story
from tests.store.fake_servers import FakeServer
from tests.store.pool import GRACE_SECONDS, LEASE_SECONDS, SIZES, Pool

PLAYERS = tuple("abcdef")
MODES = ("duel", "trio")
NODES = ("n1", "n2")
SERVERS = {"s1": 1, "s2": 2}

STORIES = settings(
    max_examples=int(os.environ.get("TEST_EXAMPLES", "50")),  # more of them are no longer the same in every run
    stateful_step_count=50,
    deadline=None,
    derandomize="TEST_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)

players = st.sampled_from(PLAYERS)
nodes = st.sampled_from(NODES)
servers = st.sampled_from(sorted(SERVERS))
picks = st.integers(min_value=0, max_value=1000)


class World(RuleBasedStateMachine):
    """A pool in it, what goes on around its players, and what holds whatever anybody does."""

    new_pool: Callable[[], Pool]
    sizes: Mapping[str, int] = SIZES
    parts: Mapping[str, Part] = {}  # what each player last brought to a ticket

    def __init__(self) -> None:
        super().__init__()
        self.pool = type(self).new_pool()
        self.told = {player: Story(self.sizes) for player in PLAYERS}
        self.journal = EventJournal()
        self.servers = {server_id: FakeServer(server_id, capacity) for server_id, capacity in SERVERS.items()}
        self.orders: list[Order] = []
        self.calls: list[Callable[[], Any]] = []
        self.dead: set[str] = set()
        self.number = 0
        for server_id in SERVERS:
            self.register(server_id)
        self.renew()

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            self.pool.close()

    # --- dedicated servers ---

    @rule(server_id=servers)
    def heartbeat(self, server_id: str) -> None:
        server = self.servers[server_id]
        to_end = self.pool.heartbeat(server_id, list(server.sessions))
        if to_end is None:
            self.register(server_id)
        for session_id in to_end or ():
            self.end(server_id, session_id)

    @precondition(lambda self: any(server.sessions for server in self.servers.values()))
    @rule(pick=picks)
    def a_game_ends(self, pick: int) -> None:
        running = [(s.server_id, session) for s in self.servers.values() for session in s.sessions]
        self.end(*running[pick % len(running)])

    @rule(server_id=servers)
    def server_restarts(self, server_id: str) -> None:
        self.servers[server_id].restart()
        self.register(server_id)

    @rule(server_id=servers, for_good=st.sampled_from([False, False, True]))
    def server_leaves(self, server_id: str, for_good: bool) -> None:
        self.pool.do(self.pool.registry.remove(server_id))
        if not for_good:
            self.register(server_id)

    # --- time and failures ---

    @rule(seconds=st.sampled_from([0.6, LEASE_SECONDS + 1, 16, 31, 61]), silent=st.sets(servers))
    def time_passes(self, seconds: float, silent: set[str]) -> None:
        self.pool.move_clock(seconds)
        self.renew()
        for server_id in sorted(set(SERVERS) - silent):
            self.heartbeat(server_id)
        self.sweep(NODES[0], 0)

    @rule(node=nodes, queue_timeout=st.sampled_from([0, 0, 40]))
    def sweep(self, node: str, queue_timeout: float) -> None:
        if not self.pool.sweep(node=node, queue_timeout=queue_timeout).acted:  # this process stood still for a while
            assert self.pool.sweep(node=node, queue_timeout=queue_timeout).acted

    @rule(node=nodes)
    def a_node_dies(self, node: str) -> None:
        self.dead.add(node)

    @rule(node=nodes)
    def a_node_comes_back(self, node: str) -> None:
        self.dead.discard(node)
        self.renew()

    @rule(node=nodes)
    def a_node_retires(self, node: str) -> None:
        self.pool.do(self.pool.upkeep(node).retire(grace_us=GRACE_SECONDS * 1_000_000))
        assert not self.pool.members(f"node_players:{node}")
        self.renew()

    @rule(players_gone=st.sets(players))
    def redis_loses_everything(self, players_gone: set[str]) -> None:
        """Sessions put their players back, those in their grace prove themselves, and the others are lost."""
        self.everything_agrees()
        records = {player: self.pool.record(player) for player in PLAYERS}
        epoch = self.pool.hash("clock")["epoch"]
        self.pool.lose_everything()
        self.journal.forget()
        self.renew()
        for server_id in SERVERS:
            self.register(server_id)
        for player, record in records.items():
            told = self.told[player]
            if player in players_gone or not told.state:
                self.told[player] = Story(self.sizes)
            elif not record["connection"]:
                part, mode = self.parts.get(player), record["game_mode"]
                code, frames = self.pool.resume(
                    player, connection=self.fresh(player), mode=mode, made_at_us=1, part=part
                )
                assert code == "ok"
                told.forget()
                assert list(told.hear(player, frames[1])) == []
            else:
                code, frames = self.pool.reassert(
                    player,
                    seq=told.seq,
                    state=told.state,
                    session=told.loading_session_id,
                    connection=record["connection"],
                    mode=record["game_mode"],
                    node=record["node"],
                    enqueued_at=record["enqueued_at"],
                    epoch=epoch,
                    part=self.parts.get(player),
                )
                assert code == "put_back"
                if told.state != "loading":  # its client knows that, and is told the number alone
                    assert len(frames) == 1
                    told.forget()
                assert [text for frame in frames for text in told.hear(player, frame)] == []

    @precondition(lambda self: self.calls)
    @rule(pick=picks)
    def a_call_arrives_again_late(self, pick: int) -> None:
        """Overtaken by others on its way: its connection no longer owns the player, its session is another."""
        self.calls[-1 - pick % min(len(self.calls), 12)]()

    # --- what holds ---

    @invariant()
    def everything_agrees(self) -> None:
        look = Look(self.pool.contents())
        assert list(contradictions(look, self.sizes)) == []
        assert list(self.journal.hear(self.pool.entries())) == []
        assert list(self.journal.contradictions(look)) == []
        for player, told in self.told.items():
            assert [text for frame in self.pool.frames(player) for text in told.hear(player, frame)] == []
            assert told.contradiction(player, look.players.get(player)) is None

    def come_to_rest(self) -> None:
        """Invariants 6 and 7 at rest: every session has ended, and each count of slots agrees with its server's."""
        self.dead.clear()
        for _ in range(6):
            for server_id in SERVERS:
                self.heartbeat(server_id)
            self.pool.move_clock(40)
            self.renew()
            for server_id in SERVERS:
                self.heartbeat(server_id)
            self.sweep("n1", 0)
            for order in self.pool.adopt(node="n1"):
                self.settle(order, "error")
        self.everything_agrees()
        contents = self.pool.contents()
        left = [key for key in contents if key.startswith(("loading:", "sessions:", "held", "gathering"))]
        assert left == []
        assert {record["state"] for key, record in contents.items() if key.startswith("player:")} <= {
            "queued",
            "matched",
        }
        for server in self.servers.values():
            assert contents.get(f"active:{server.server_id}", {}).keys() == server.sessions.keys()
            assert f"reserved:{server.server_id}" not in contents
            room = server.capacity > len(server.sessions)
            assert ("offered" in contents[f"server:{server.server_id}"]) == room, "nobody is shut out for good"

    # --- helpers ---

    def once(self, call: Callable[[], Any]) -> Any:
        """Make a call, then its repeat as if the reply had been lost. The answer is the first one."""
        answer = call()
        self.calls.append(call)
        if self.number % 3 == 0:
            call()
        return answer

    def take(self, orders: list[Order]) -> None:
        self.orders.extend(order for order in orders if order not in self.orders)

    def settle(self, order: Order, outcome: Outcome) -> None:
        _, further = self.once(lambda: self.pool.fail(order, outcome))
        if further:
            self.take([further])

    def end(self, server_id: str, session_id: str) -> None:
        self.servers[server_id].end(session_id)
        if self.pool.end(server_id, session_id) is None:
            self.register(server_id)

    def register(self, server_id: str) -> None:
        server = self.servers[server_id]
        self.pool.register(
            server_id,
            capacity=server.capacity,
            incarnation=str(server.incarnation),
            active_sessions=tuple(server.sessions),
        )

    def renew(self) -> None:
        for node in NODES:
            if node not in self.dead:
                self.pool.renew(node)

    def fresh_number(self) -> int:
        self.number += 1
        return self.number

    def fresh(self, player: str) -> str:
        return f"{player}/{self.fresh_number()}"
