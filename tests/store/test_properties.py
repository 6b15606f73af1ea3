"""Random stories against the scripts: whatever is done in whatever order, repeated or late, the invariants hold."""

import hashlib
import json
import os
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from match_server.store.scripts import Script
from tests.store.pool import LOADING_SECONDS, SECOND_US, SIZES, Pool, scripts
from tests.store.world import MODES, NODES, PLAYERS, World, nodes, picks, players

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

modes = st.sampled_from(("duel", "duel", "trio"))


class Journeys(World):
    """Players that do anything at any moment, and the matches that become of them."""

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
            for player in json.loads(after[key]["#players"]):
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
