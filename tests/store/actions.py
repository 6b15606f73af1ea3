"""What players, dedicated servers and nodes do to a pool, whatever the way in which its matches are formed."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.store.pool import SIZES
from tests.store.world import NODES, PLAYERS, World, nodes, picks, players


class Actions(World):
    """Players that do anything at any moment, once they are in; and what becomes of their matches."""

    # --- players ---

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
        elif before["state"] in {"gathering", "queued", "loading"}:
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
            usual = {"gathering": "party", "queued": "queued", "matched": "match_found"}
            expected = usual.get(before["state"], "start_loading")
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
            player,
            seq=told.seq,
            state=told.state,
            session=told.loading_session_id,
            connection=connection,
            node=node,
            part=self.parts.get(player),
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

    @rule(mode=st.sampled_from([*SIZES]), node=nodes)
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
