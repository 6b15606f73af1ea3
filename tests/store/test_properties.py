"""Random stories against the scripts: whatever is done in whatever order, repeated or late, the invariants hold."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from match_server.store.journey import Order, Outcome
from match_server.store.scripts import Script
from tests.store.fake_servers import FakeServer
from tests.store.invariants import Told, check
from tests.store.pool import GRACE_SECONDS, LEASE_SECONDS, LOADING_SECONDS, SECOND_US, SIZES, Pool, scripts

PLAYERS = tuple("abcdef")
MODES = ("duel", "trio")
NODES = ("n1", "n2")
SERVERS = {"s1": 1, "s2": 2}
EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "50"))  # more of them are no longer the same in every run
STEPS = 50
POP_IN_ORDER = """
  local members = call('SMEMBERS', queue)
  table.sort(members)
  local popped = { unpack(members, 1, count) }
  if #popped > 0 then
    call('SREM', queue, unpack(popped))
  end
  return popped"""

players = st.sampled_from(PLAYERS)
modes = st.sampled_from(("duel", "duel", "trio"))
nodes = st.sampled_from(NODES)
servers = st.sampled_from(sorted(SERVERS))
picks = st.integers(min_value=0, max_value=1000)


class Journeys(RuleBasedStateMachine):
    """Players, nodes and dedicated servers that do anything at any moment."""

    new_pool: Callable[[], Pool]

    def __init__(self) -> None:
        super().__init__()
        self.pool = type(self).new_pool()
        self.told = {player: Told() for player in PLAYERS}
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

    # --- players ---

    @rule(player=players, mode=modes, node=nodes)
    def enqueue(self, player: str, mode: str, node: str) -> None:
        """From the player's own connection, or a stranger's where there is none."""
        before = self.pool.record(player)
        connection = before.get("connection") or self.fresh(player)
        operation = self.fresh_number()
        (code,) = self.once(
            lambda: self.pool.enqueue(player, mode=mode, node=node, connection=connection, operation=operation)
        )
        assert code == ("queued" if before.get("state", "matched") == "matched" else "already_in_queue")

    @rule(mode=modes, node=nodes)
    def everyone_enqueues_and_is_matched(self, mode: str, node: str) -> None:
        """The usual way, so that stories come far."""
        for player in PLAYERS:
            if self.pool.record(player).get("state", "matched") == "matched":
                self.enqueue(player, mode, node)
        self.match(mode)

    @rule(player=players, mode=modes, node=nodes)
    def enqueue_by_a_stranger(self, player: str, mode: str, node: str) -> None:
        before = self.pool.record(player)
        connection, operation = self.fresh(player), self.fresh_number()
        (code,) = self.once(
            lambda: self.pool.enqueue(player, mode=mode, node=node, connection=connection, operation=operation)
        )
        assert code == ("queued" if before.get("state", "matched") == "matched" else "already_in_queue")

    @rule(player=players, closed=st.booleans())
    def leave(self, player: str, closed: bool) -> None:
        before = self.pool.record(player)
        connection, operation = before.get("connection") or self.fresh(player), self.fresh_number()
        reason = "disconnected" if closed else "requested"
        answer = self.once(
            lambda: self.pool.leave(
                player,
                connection=connection,
                operation=operation,
                reason="disconnected" if reason == "disconnected" else "requested",
            )
        )
        if not before.get("connection"):
            assert answer.code == "not_in_queue"
        elif before["state"] in {"queued", "loading"}:
            assert answer.code == "ok"
            assert self.pool.record(player) == {}
        else:
            assert answer.code == ("ok" if closed else "too_late")
            assert self.pool.record(player)["state"] == before["state"]

    @rule(player=players)
    def drop(self, player: str) -> None:
        before = self.pool.record(player)
        connection = before.get("connection") or self.fresh(player)
        code = self.once(lambda: self.pool.hold(player, connection=connection))
        there = bool(before.get("connection")) and before["state"] != "matched"
        assert code == ("held" if there else "not_in_queue")

    @rule(player=players, node=nodes)
    def resume(self, player: str, node: str) -> None:
        before = self.pool.record(player)
        connection = self.fresh(player)
        code, frames = self.pool.resume(player, connection=connection, node=node)
        repeat, _ = self.pool.resume(player, connection=connection, node=node)
        assert code == repeat == ("ok" if before else "invalid_resume_token")
        if before:
            expected = {"queued": "queued", "matched": "match_found"}.get(before["state"], "start_loading")
            assert [frame["type"] for frame in frames] == ["resumed", expected]
            self.told[player].seq = int(self.pool.record(player)["seq"])

    @rule(player=players, node=nodes)
    def take_back(self, player: str, node: str) -> None:
        """A session whose node was thought dead, or that asks without need, asserts what its client was told."""
        before, told = self.pool.record(player), self.told[player]
        connection = before.get("connection") or before.get("lost") or self.fresh(player)
        if not told.state:
            return
        answer = self.pool.reassert(
            player, seq=told.seq, state=told.state, session=told.session, connection=connection, node=node
        )
        assert answer == ("ok", [])
        assert self.pool.record(player)["connection"] == connection

    @rule(player=players, pick=picks)
    def load(self, player: str, pick: int) -> None:
        before = self.pool.record(player)
        session = before.get("loading_session_id", "")
        connection = before.get("connection") or self.fresh(player)
        node = NODES[pick % len(NODES)]
        readied = self.once(lambda: self.pool.ready(player, session=session, connection=connection, node=node))
        if readied.order:
            self.take([readied.order])

    @rule(pick=picks)
    def everyone_loads(self, pick: int) -> None:
        for player in PLAYERS:
            if self.pool.record(player).get("state") == "loading":
                self.load(player, pick)

    # --- matches ---

    @rule(mode=modes)
    def match(self, mode: str) -> None:
        before = self.pool.contents()
        call = ("try_match", mode, SIZES[mode], 4, f"seed-{self.fresh_number()}", LOADING_SECONDS * SECOND_US)
        formed = self.pool.run(*call)[0]
        if self.number % 2:
            formed += self.pool.run(*call)[0]
        after = self.pool.contents()
        new = [key for key in after if key.startswith("loading:") and key not in before]
        assert len(new) == formed
        if formed:
            stages = [f"sessions:{stage}:{each}" for stage in ("loading", "unplaced") for each in MODES]
            pending = sum(len(after.get(stage, ())) for stage in stages)
            assert pending <= sum(server.free for server in self.pool.servers().values()), "no match without a slot"
        for key in new:
            for player in after[key]["#players"].split():
                record = before[f"player:{player}"]
                assert (record["state"], record["game_mode"]) == ("queued", mode)
                assert record["connection"], "a held player is out of reach"

    @rule(mode=modes, node=nodes)
    def place(self, mode: str, node: str) -> None:
        self.take(self.pool.place(mode, node=node))

    @precondition(lambda self: self.orders)
    @rule(pick=picks)
    def create_and_confirm(self, pick: int) -> None:
        order = self.orders[pick % len(self.orders)]
        if self.servers[order.server_id].create(order):
            confirmed = self.once(lambda: self.pool.confirm(order))
            if confirmed.code == "lost":
                self.settle(order, "lost")
        else:
            self.settle(order, "full")

    @precondition(lambda self: self.orders)
    @rule(pick=picks, made=st.booleans())
    def create_without_an_answer(self, pick: int, made: bool) -> None:
        order = self.orders[pick % len(self.orders)]
        if made:
            self.servers[order.server_id].create(order)
        self.settle(order, "unknown")

    @precondition(lambda self: self.orders)
    @rule(pick=picks)
    def create_refused(self, pick: int) -> None:
        self.settle(self.orders[pick % len(self.orders)], "error")

    @rule(node=nodes)
    def adopt(self, node: str) -> None:
        self.take(self.pool.adopt(node=node))

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
        self.renew()
        for server_id in SERVERS:
            self.register(server_id)
        for player, record in records.items():
            told = self.told[player]
            if player in players_gone or not told.state:
                told.last = None
            elif not record["connection"]:
                code, frames = self.pool.resume(player, connection=self.fresh(player), made_at_us=1)
                assert code == "ok"
                told.last, told.seq = frames[1], frames[1]["seq"]
            else:
                code, frames = self.pool.reassert(
                    player,
                    seq=told.seq,
                    state=told.state,
                    session=told.session,
                    connection=record["connection"],
                    mode=record["game_mode"],
                    node=record["node"],
                    enqueued_at=record["enqueued_at"],
                    epoch=epoch,
                )
                assert code == "ok"
                for frame in frames:
                    told.hear(frame)

    @precondition(lambda self: self.calls)
    @rule(pick=picks)
    def a_call_arrives_again_late(self, pick: int) -> None:
        """Overtaken by others on its way: its connection no longer owns the player, its session is another."""
        self.calls[-1 - pick % min(len(self.calls), 12)]()

    # --- what holds ---

    @invariant()
    def everything_agrees(self) -> None:
        contents = self.pool.contents()
        check(contents)
        for player, told in self.told.items():
            for frame in self.pool.frames(player):
                told.hear(frame)
            record = contents.get(f"player:{player}")
            assert told.agrees_with(record), f"{player} was told {told.last}, its record says {record}"

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
        left = [key for key in contents if key.startswith(("loading:", "sessions:", "held"))]
        assert left == []
        assert {record["state"] for key, record in contents.items() if key.startswith("player:")} <= {
            "queued",
            "matched",
        }
        for server in self.servers.values():
            assert contents.get(f"active:{server.server_id}", {}).keys() == server.sessions.keys()
            assert f"reserved:{server.server_id}" not in contents
            room = server.capacity > len(server.sessions)
            assert (server.server_id in contents.get("servers:open", {})) == room, "nobody is shut out for good"

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
        if not self.pool.do(self.pool.registry.end_session(server_id, session_id)):
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


def without_chance() -> dict[str, Script]:
    """The scripts, but for the random pop: a story must go the same way whenever it is told."""
    script = scripts()["try_match"]
    text = script.text.replace("return call('SPOP', queue, count)", POP_IN_ORDER)
    assert text != script.text
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return scripts() | {"try_match": replace(script, text=text, sha=sha)}


def test_the_invariants_hold_whatever_happens(redis_url: str, prefix: str) -> None:
    made = 0

    def new_pool() -> Pool:
        nonlocal made
        made += 1
        return Pool(redis_url, f"{prefix}{made}:", without_chance())

    assert set(MODES) <= SIZES.keys()
    machine = type("Machine", (Journeys,), {"new_pool": staticmethod(new_pool)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="TEST_EXAMPLES" not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
