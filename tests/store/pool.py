"""One matchmaking pool in plain words, so that a test of a script reads as a story about players and servers.

What is done goes through the typed store; what it left behind, and what was said, is read beneath it (`raw_pool.py`).
Nothing sleeps: `move_clock` moves the time that the scripts go by.
"""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from match_server.events.node import MatchCancelled, NodeEvent, PlayerDequeued
from match_server.servers.provider import Order
from match_server.store.client import connect
from match_server.store.journey import (
    AllocationPolicy,
    Answer,
    CatchUp,
    Confirm,
    Confirmed,
    Enqueue,
    Fail,
    Failed,
    Hold,
    JourneyStore,
    Leave,
    Matched,
    Outcome,
    Readied,
    Ready,
    Reassert,
    Resume,
    Step,
    StepResult,
)
from match_server.store.operators import OperatorStore, PlayerStatus, QueueStatus
from match_server.store.registry import Registration, RegistryStore, ServerStatus
from match_server.store.scripts import Script, ScriptRunner, load_scripts
from match_server.store.tickets import Part
from match_server.store.upkeep import Swept, UpkeepStore
from tests.shared.recorder import Recorder
from tests.store.raw_pool import Frame, RawPool

T = TypeVar("T")

RANKED = "ranked"  # formed by rules
SIZES = {"duel": 2, "trio": 3, "raid": 10, "royale": 100, RANKED: 4}
SECOND_US = 1_000_000
JUST_NOW = 1 << 52  # a claim that nothing has overtaken
LOADING_SECONDS = 60
PARTY_SECONDS = 60
LEASE_SECONDS = 5
WAIT_SECONDS = 30
ATTEMPTS = 3
GRACE_SECONDS = 5
SERVER_LEASE_SECONDS = 15
SWEEP_SECONDS = 1
ADDRESS = "203.0.113.7:7777"


@cache
def scripts() -> dict[str, Script]:
    """The scripts, read once for all tests."""
    return load_scripts()


class Pool(RawPool):
    """A pool under a prefix of its own. By default a player's connection is `<player>/1` and its node `n1`."""

    def __init__(self, url: str, prefix: str, loaded: Mapping[str, Script] | None = None) -> None:
        """`loaded` are the scripts to use; the real ones by default."""
        super().__init__(url, prefix)
        self._asyncio = asyncio.Runner()
        self._client = connect(url)
        self._recorder = Recorder()
        self.runner = ScriptRunner(
            self._client,
            prefix=prefix,
            scripts=loaded or scripts(),
            events=self._recorder,
        )
        self.registry = RegistryStore(
            self.runner, self._client, prefix=prefix, lease_us=SERVER_LEASE_SECONDS * SECOND_US
        )
        self.operators = OperatorStore(self.runner)
        for script in (loaded or scripts()).values():
            self.redis("SCRIPT", "LOAD", script.text)  # so that a first call takes effect also where its reply is lost
        self.renew()
        self.sweep()  # the pool's first epoch begins

    def close(self) -> None:
        """Delete the pool's keys and close every connection."""
        super().close()
        self.do(self._client.aclose())
        self._asyncio.close()

    # --- the machinery ---

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._asyncio.run(work)

    def run(self, script: str, *arguments: Any, items: Sequence[tuple[Any, ...]] = ()) -> Any:
        """Run a script as it is, where the typed store offers less than the script can."""
        return self.do(self.runner.one(script, *arguments, items=items))

    def ended(self) -> list[NodeEvent]:
        """The players who have left and the matches that were cancelled, in order."""
        return [event for event in self._recorder.recorded if isinstance(event, PlayerDequeued | MatchCancelled)]

    def journey(self, node: str = "n1") -> JourneyStore:
        policy = AllocationPolicy(
            node=node, lease_us=LEASE_SECONDS * SECOND_US, wait_us=WAIT_SECONDS * SECOND_US, attempts=ATTEMPTS
        )
        return JourneyStore(
            self.runner,
            policy=policy,
            loading_timeout_us=LOADING_SECONDS * SECOND_US,
            party_timeout_us=PARTY_SECONDS * SECOND_US,
        )

    def upkeep(self, node: str = "n1") -> UpkeepStore:
        return UpkeepStore(self.runner, self._client, prefix=self.prefix, node=node)

    def step(self, mode: str, step: Step, *, node: str = "n1") -> StepResult:
        return self.do(self.journey(node).step(mode, SIZES[mode], step))

    def move_clock(self, seconds: float) -> None:
        """Let time pass for this pool."""
        self.redis("HINCRBY", f"{self.prefix}clock", "stopped_us", -round(seconds * SECOND_US))

    def now_us(self) -> int:
        """The time that the scripts go by."""
        return self.redis_us() - int(self.hash("clock").get("stopped_us", 0))

    def redis_us(self) -> int:
        """The time that Redis goes by, of which claims say when they were asked for."""
        seconds, microseconds = self.redis("TIME")
        return int(seconds) * SECOND_US + int(microseconds)

    # --- players ---

    def enqueue(
        self,
        *players: str,
        mode: str = "duel",
        node: str = "n1",
        connection: str = "",
        operation: int = 1,
        asked_us: int = JUST_NOW,
        part: Part | None = None,
    ) -> list[str]:
        part_text = part.encode() if part else ""
        items = [
            Enqueue(player, connection or f"{player}/1", operation, f"token-of-{player}", asked_us, part_text)
            for player in players
        ]
        return [code(answer) for answer in self.step(mode, Step(enqueues=items), node=node).enqueues]

    def leave(
        self,
        player: str,
        *,
        reason: Literal["requested", "disconnected"] = "requested",
        connection: str = "",
        operation: int = 2,
    ) -> Answer:
        item = Leave(player, connection or f"{player}/1", operation, reason)
        return answered(self.step("duel", Step(leaves=[item])).leaves[0])

    def hold(self, player: str, *, connection: str = "", grace: float = GRACE_SECONDS) -> str:
        item = Hold(player, connection or f"{player}/1", round(grace * SECOND_US))
        return code(self.step("duel", Step(holds=[item])).holds[0])

    def resume(
        self,
        player: str,
        *,
        connection: str,
        node: str = "n1",
        operation: int = 1,
        token: str = "",
        mode: str = "duel",
        made_at_us: int | None = None,
        signed: bool = True,
        asked_us: int = JUST_NOW,
        part: Part | None = None,
    ) -> tuple[str, list[Frame]]:
        """The code, and the frames for the resuming connection. By default the token was made just now."""
        said_us = self.now_us() if made_at_us is None else made_at_us
        made: tuple[str, int | str] = (mode, said_us if signed else "")
        part_text = part.encode() if part else ""
        item = Resume(player, connection, node, operation, token or f"token-of-{player}", *made, asked_us, part_text)
        answer = answered(self.step("duel", Step(resumes=[item])).resumes[0])
        return answer.code, [json.loads(frame) for frame in answer.fields[3:]]

    def catch_up(
        self, player: str, *, seq: int = 0, claimed: int = 0, connection: str = "", token: str = ""
    ) -> tuple[str, list[Frame]]:
        """The code, and the frames that are newer than `seq`. By default this connection's claim is the first one."""
        item = CatchUp(player, connection or f"{player}/1", token or f"token-of-{player}", claimed, seq)
        answer = answered(self.step("duel", Step(catch_ups=[item])).catch_ups[0])
        return answer.code, [json.loads(frame) for frame in answer.fields]

    def reassert(
        self,
        player: str,
        *,
        seq: int,
        claimed: int | None = None,
        state: str = "queued",
        session: str = "",
        connection: str = "",
        token: str = "",
        node: str = "n1",
        mode: str = "duel",
        enqueued_at: str = "1000000",
        epoch: str = "",
        operation: int = 3,
        part: Part | None = None,
    ) -> tuple[str, list[Frame]]:
        """The code, and what the client has to be told.

        By default the session knows the present epoch, and claimed the player as the record's connection did.
        """
        if claimed is None:
            record = self.record(player)
            claimed = int(record.get("claimed_seq", record.get("queued_seq", 0)))
        item = Reassert(
            player,
            connection or f"{player}/1",
            node,
            operation,
            token or f"token-of-{player}",
            mode,
            enqueued_at,
            claimed,
            seq,
            state,
            session,
            epoch or self.hash("clock")["epoch"],
            part.encode() if part else "",
        )
        answer = answered(self.step("duel", Step(reasserts=[item])).reasserts[0])
        assert answer.fields[0] == self.hash("clock")["epoch"]
        return answer.code, [json.loads(frame) for frame in answer.fields[1:]]

    # --- matches ---

    def match(self, mode: str = "duel") -> Matched:
        return self.step(mode, Step(match=True)).matched

    def ready(self, player: str, *, session: str = "", connection: str = "", node: str = "n1") -> Readied:
        item = Ready(player, connection or f"{player}/1", session or self.session_of(player))
        (readied,) = self.step("duel", Step(readies=[item]), node=node).readies
        assert isinstance(readied, Readied), readied
        return readied

    def place(self, mode: str = "duel", *, node: str = "n1") -> list[Order]:
        return self.step(mode, Step(place=True), node=node).placed

    def confirm(
        self, order: Order, *, session_id: str = "", address: str = ADDRESS, join_tokens: tuple[str, ...] = ()
    ) -> Confirmed:
        """Without an id of its own, the server takes the one that it was given."""
        session = order.loading_session_id
        item = Confirm(session, order.attempt, session_id or session, address, join_tokens)
        (confirmed,) = self.do(self.journey().confirm([item]))
        assert isinstance(confirmed, Confirmed), confirmed
        return confirmed

    def another_failed_on(self, server_id: str) -> None:
        """Another match was the last to fail on this server: one more failure, of any other, quarantines it."""
        self.redis("HSET", f"{self.prefix}server:{server_id}", "failed_by", "another match")
        self.redis("HSETNX", f"{self.prefix}server:{server_id}", "failures", 0)

    def fail(self, order: Order, outcome: Outcome, *, node: str = "n1") -> tuple[str, Order | None]:
        item = Fail(order.loading_session_id, order.attempt, outcome, f"it was {outcome}")
        (failed,) = self.do(self.journey(node).fail([item]))
        assert isinstance(failed, Failed), failed
        return failed.code, failed.next_order

    def adopt(self, *, node: str = "n2") -> list[Order]:
        orders, _ = self.do(self.journey(node).adopt())
        return orders

    # --- stories so far ---

    def loading(self, *players: str, mode: str = "duel", node: str = "n1") -> str:
        """These players have been matched with each other. Returns the loading session's id."""
        self.enqueue(*players, mode=mode, node=node)
        assert self.match(mode).formed == 1, "is there a server with a free slot?"
        (session,) = {self.session_of(player) for player in players}
        return session

    def allocating(self, *players: str, mode: str = "duel") -> Order:
        """These players have all loaded and a slot is reserved for them. Returns the order."""
        self.loading(*players, mode=mode)
        order = None
        for player in players:
            order = self.ready(player).order
        assert order is not None
        return order

    def found(self, *players: str, mode: str = "duel", session_id: str = "") -> Order:
        """These players have their match. Returns its order."""
        order = self.allocating(*players, mode=mode)
        assert self.confirm(order, session_id=session_id).code == "matched"
        return order

    # --- dedicated servers ---

    def register(
        self,
        server: str,
        *,
        capacity: int = 1,
        incarnation: str = "first",
        game_modes: tuple[str, ...] = (),
        max_session_seconds: float | None = None,
        active_sessions: tuple[str, ...] = (),
        batch: bool = False,
        region: str = "eu",
    ) -> str:
        registration = Registration(
            server_id=server,
            incarnation=incarnation,
            control_url=f"http://{server}.example:9000",
            endpoint="http://127.0.0.1:9000",
            host=f"{server}.example:9000",
            address=ADDRESS,
            capacity=capacity,
            batch=batch,
            max_session_seconds=max_session_seconds,
            game_modes=game_modes,
            region=region,
            active_sessions=active_sessions,
        )
        return self.do(self.registry.register(registration))

    def heartbeat(
        self,
        server: str,
        sessions: Sequence[str] | None = None,
        *,
        incarnation: str = "",
        draining: bool | None = None,
    ) -> list[str] | None:
        """Returns what the server is to end; None when it is to register again."""
        heard = self.do(
            self.registry.heartbeat(server, incarnation=incarnation, draining=draining, active_sessions=sessions)
        )
        return None if heard.code == "unknown" else list(heard.to_end)

    def end(self, server: str, *sessions: str, result: str = "") -> list[str] | None:
        """Returns the sessions whose slot became free."""
        return self.do(self.registry.end_sessions(server, dict.fromkeys(sessions, result)))

    def servers(self) -> dict[str, ServerStatus]:
        return {status.server_id: status for status in self.do(self.registry.servers())}

    def free(self, server: str) -> int:
        return self.servers()[server].free

    # --- upkeep ---

    def renew(self, node: str = "n1", *, allocations: Sequence[tuple[str, str]] = (), info: str = "{}") -> bool:
        lease_us = LEASE_SECONDS * SECOND_US
        info = "" if allocations else info
        leases = self.upkeep(node).renew(lease_us=lease_us, game_modes=SIZES, info=info, allocations=allocations)
        return self.do(leases)

    def hand_over(self, *orders: Order, node: str = "n1") -> int:
        return self.do(self.upkeep(node).hand_over([(order.game_mode, order.loading_session_id) for order in orders]))

    def sweep(
        self, *, node: str = "n1", queue_timeout: float = 0, own_graces: Mapping[str, float] = MappingProxyType({})
    ) -> Swept:
        sweep = self.upkeep(node).sweep(
            period_us=SWEEP_SECONDS * SECOND_US,
            grace_us=GRACE_SECONDS * SECOND_US,
            own_graces_us={mode: round(seconds * SECOND_US) for mode, seconds in own_graces.items()},
            queue_timeout_us=round(queue_timeout * SECOND_US),
        )
        return self.do(sweep)

    def lose_everything(self) -> None:
        """Redis comes back without its data, and the node has swept since."""
        self.delete_everything()
        self.renew()
        self.sweep()

    def queue(self, mode: str = "duel") -> QueueStatus:
        (status,) = self.do(self.operators.queues([mode]))
        return status

    def player(self, player: str) -> PlayerStatus | None:
        return self.do(self.operators.player(player))


def without_seq(frames: Sequence[Frame]) -> list[Frame]:
    return [{field: value for field, value in frame.items() if field != "seq"} for frame in frames]


def put_back(player: str, session: str, reason: str, *, mode: str = "duel") -> list[Frame]:
    """What a player is told, but for its numbers, who goes back into the queue because its match was cancelled."""
    return [
        {"type": "match_cancelled", "loading_session_id": session, "reason": reason, "requeued": True},
        {"type": "queued", "game_mode": mode, "resume_token": f"token-of-{player}", "requeued": True},
    ]


def kinds(frames: Sequence[Frame]) -> list[str]:
    return [frame["type"] for frame in frames]


def answered(answer: object) -> Answer:
    assert isinstance(answer, Answer), answer
    return answer


def code(answer: object) -> str:
    return answered(answer).code
