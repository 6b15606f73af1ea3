"""Random stories against the scripts: whatever is done in whatever order, repeated or late, the invariants hold."""

import hashlib
import json
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from match_server.store.scripts import Script
from tests.store.actions import Actions
from tests.store.pool import LOADING_SECONDS, SECOND_US, SIZES, Pool, scripts
from tests.store.world import MODES, PLAYERS, STORIES, nodes, players

POP_IN_ORDER = """
  local members = call('SMEMBERS', queue)
  table.sort(members)
  local popped = { unpack(members, 1, count) }
  if #popped > 0 then
    call('SREM', queue, unpack(popped))
  end
  return popped"""

modes = st.sampled_from(("duel", "duel", "trio"))


class Journeys(Actions):
    """Random modes: players that do anything at any moment, and the matches that become of them."""

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
        running = "already_in_queue" if before.get("connection") else "elsewhere"
        assert code == ("queued" if before.get("state", "matched") == "matched" else running)

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
        assert code == ("queued" if before.get("state", "matched") == "matched" else "elsewhere")

    # --- matches ---

    @rule(mode=modes)
    def match(self, mode: str) -> None:
        before = self.pool.contents()
        call = ("try_match", mode, SIZES[mode], 4, f"seed-{self.fresh_number()}", LOADING_SECONDS * SECOND_US, "")
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
    run_state_machine_as_test(machine, settings=STORIES)
