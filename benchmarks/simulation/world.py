"""One seed: its nodes, players and dedicated servers, what goes wrong, and how it must end."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

from benchmarks.simulation import loop, weather
from benchmarks.simulation.database import PREFIX, Database
from benchmarks.simulation.hurry import hurried
from benchmarks.simulation.logs import listen_to_logs
from benchmarks.simulation.node import SimulatedNode, Surroundings, composed
from benchmarks.simulation.outcome import Outcome
from benchmarks.simulation.players import SimulatedPlayer
from benchmarks.simulation.pool_look import read_look
from benchmarks.simulation.pubsub import Hub
from benchmarks.simulation.seeded import seeded
from benchmarks.simulation.servers import CALL_SECONDS, LEASE_SECONDS, SimulatedProvider, SimulatedServer
from benchmarks.simulation.stories import Stories
from benchmarks.simulation.structure import contradictions
from benchmarks.simulation.trace import Trace
from benchmarks.simulation.wire import Wire
from match_server.config import GameMode, Settings
from match_server.store.scripts import Script

START = 1_700_000_000.0
LOADING_SECONDS = 1.5
GRACE_SECONDS = 0.8
NODE_LEASE_SECONDS = 1.5
WAIT_SECONDS = 2.0
STOP_SECONDS = 4.0
MODES = (GameMode("duel", 2), GameMode("trio", 3))
_SETTLED_WITHIN_SECONDS = 75.0
_LOOK_SECONDS = 0.25
_PERMANENT = {"clock", "secret", "modes", "nodes"}


class _Violated(Exception):
    """Something must not have happened: the run ends there."""


def simulate(seed: int, wire: Wire, scripts: Mapping[str, Script], *, traced: bool = False) -> Outcome:
    """Run one seed to its end, or to the first violation."""
    simulated = loop.SimulatedLoop(start=START, shuffle=_stream(seed, "order") if seed % 2 else None)
    trace = Trace(simulated.time)
    violations: list[str] = []
    with composed(scripts), hurried(), seeded(_stream(seed, "ids"), simulated.time):
        world = World(seed, wire, scripts, trace, violations)
        listen_to_logs(trace, world.violated, everything=traced)
        try:
            with suppress(_Violated):
                loop.run(simulated, world.run, world.end)
        except loop.Stuck as stuck:
            violations.append(f"stuck: {stuck}")
    return Outcome(
        seed=seed,
        violations=tuple(violations),
        digest=trace.digest(),
        steps=world.database.steps,
        simulated_seconds=simulated.time() - START,
        matches=len(world.stories.matches),
        trace=tuple(trace.lines()) if traced or violations else (),
    )


def _stream(seed: int, name: str) -> Random:
    return Random(f"{seed}:{name}")  # noqa: S311 - repeatable on purpose


@cache
def _settings(modes: tuple[GameMode, ...]) -> Settings:
    return Settings(
        _env_file=None,
        key_prefix=PREFIX,
        game_modes=modes,
        tick_seconds=0.4,
        loading_timeout_seconds=LOADING_SECONDS,
        reconnect_grace_seconds=GRACE_SECONDS,
        node_lease_seconds=NODE_LEASE_SECONDS,
        server_lease_seconds=LEASE_SECONDS,
        stop_seconds=STOP_SECONDS,
        allocation_timeout_seconds=CALL_SECONDS,
        allocation_attempts=3,
        allocation_wait_seconds=WAIT_SECONDS,
        messages_per_second=1000,
    )


class World:
    """Everything of one seed."""

    def __init__(
        self, seed: int, wire: Wire, scripts: Mapping[str, Script], trace: Trace, violations: list[str]
    ) -> None:
        self._trace = trace
        self._violations = violations
        self._chance = _stream(seed, "world")
        self.weather = weather.draw(self._chance) if seed % 50 else weather.fair(self._chance)
        self.weather_was = replace(self.weather)
        self._modes = MODES if self._chance.random() < 0.3 else (self._chance.choice(MODES),)
        self._sizes = {mode.name: mode.players for mode in self._modes}
        self._seconds = self._chance.uniform(1.5, 4.0)
        self.database = Database(
            wire, scripts, trace=trace, on_published=self._on_published, on_changed=self._on_changed
        )
        self.hub = Hub()
        self.stories = Stories(self._sizes, self.violated)
        self.servers: dict[str, SimulatedServer] = {}
        self.players: dict[str, SimulatedPlayer] = {}
        self.nodes: list[SimulatedNode] = []
        self._seed = seed
        self._last_look = ""
        self._going_home = False
        self._emptied = 0
        self._leased: frozenset[str] = frozenset()  # nodes that have had a lease
        self._lease_lost = False  # one of them was thought dead while it lived
        self._helpers: list[asyncio.Task[None]] = []
        self._serving: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """The whole of it."""
        self.database.prepare()
        self._trace.note("seed", str(self._seed), self.weather)
        self._around = self._surroundings()
        for _ in range(self._chance.choice((1, 2, 2, 2, 3))):
            self._start_node()
        for _ in range(self._chance.choice((1, 1, 2, 3))):
            self._start_server(self._chance.choice((1, 2, 4)))
        for number in range(1, self._chance.randint(4, 10)):
            self._add_player(f"p{number}")
        self._plan_trouble()
        await asyncio.sleep(self._seconds)
        await self._settle()
        await self._go_home()

    def end(self) -> None:
        """Whatever still runs reaches nothing any more."""
        for node in self.nodes:
            node.kill()

    # --- what there is ---

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            settings=_settings(self._modes),
            database=self.database,
            hub=self.hub,
            provider=SimulatedProvider(self.servers),
            weather=self.weather,
            chance=_stream(self._seed, "network"),
            trace=self._trace,
            on_violation=self.violated,
        )

    def _start_node(self) -> None:
        node = SimulatedNode(f"n{len(self.nodes) + 1}", self._around)
        self.nodes.append(node)
        node.start()

    def _start_server(self, capacity: int) -> None:
        server = SimulatedServer(
            f"s{len(self.servers) + 1}",
            capacity=capacity,
            batch=self._chance.random() < 0.5,
            weather=self.weather,
            chance=_stream(self._seed, f"server {len(self.servers)}"),
            trace=self._trace,
            pick_node=self._pick_node,
            on_told_to_end=self._on_told_to_end,
            start=self._help,
        )
        self.servers[server.server_id] = server
        self._serving.append(self._task(server.run()))

    def _add_player(self, player_id: str) -> None:
        player = SimulatedPlayer(
            player_id,
            self._chance.choice(self._modes).name,
            loading_seconds=LOADING_SECONDS,
            weather=self.weather,
            chance=_stream(self._seed, player_id),
            trace=self._trace,
            pick_node=self._pick_node,
            on_violation=self.violated,
            on_place_lost=self._on_place_lost,
            on_overtaken=self._on_overtaken,
        )
        self.players[player_id] = player
        asyncio.get_running_loop().call_later(self._chance.uniform(0.02, self._seconds * 0.7), player.arrive)

    def _pick_node(self) -> SimulatedNode | None:
        accepting = [node for node in self.nodes if node.accepting]
        return self._chance.choice(accepting) if accepting else None

    def _help(self, work: Coroutine[Any, Any, None]) -> None:
        self._helpers.append(self._task(work))

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error:
            self.violated(f"the simulation itself failed: {error!r}")

    # --- what goes wrong ---

    def _plan_trouble(self) -> None:
        plans: tuple[tuple[int, Callable[[], Coroutine[Any, Any, None]]], ...] = (
            (self.weather.pauses, self._pause),
            (self.weather.restarts, self._restart),
            (self.weather.emptyings, self._restart_empty),
            (self.weather.script_flushes, self._flush_scripts),
            (self.weather.link_breaks, self._break_link),
            (self.weather.link_silences, self._silence_link),
            (self.weather.partitions, self._cut_off_node),
            (self.weather.kills, self._kill_node),
            (self.weather.stops, self._stop_node),
            (self.weather.server_deaths, self._kill_server),
        )
        for count, trouble in plans:
            for _ in range(count):
                self._help(self._cause(self._chance.uniform(0.1, self._seconds), trouble))

    @staticmethod
    async def _cause(after_seconds: float, trouble: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await asyncio.sleep(after_seconds)
        await trouble()

    async def _pause(self) -> None:
        seconds = self._chance.choice((0.2, 0.4, 1.0, 3.0))
        self._trace.note("redis", "PAUSES", seconds)
        now = asyncio.get_running_loop().time()
        self.database.paused_until = max(self.database.paused_until, now + seconds)

    async def _restart(self, *, empty: bool = False) -> None:
        if not self.database.up:
            return
        seconds = self._chance.choice((0.0, 0.3, 1.0, 3.0))
        self._trace.note("redis", "DOWN", seconds)
        self.database.up = False
        self.hub.break_all()
        await asyncio.sleep(seconds)
        self._trace.note("redis", "UP")
        if empty:
            self.database.lose_everything()
        self.database.restart()
        self.database.forget_scripts()
        self.database.up = True

    async def _restart_empty(self) -> None:
        await self._restart(empty=True)

    async def _flush_scripts(self) -> None:
        self.database.forget_scripts()

    async def _break_link(self) -> None:
        if self.hub.links:
            link = self._chance.choice(self.hub.links)
            self._trace.note("pubsub", "A LINK BREAKS")
            link.sever()

    async def _silence_link(self) -> None:
        if self.hub.links:
            self._trace.note("pubsub", "A LINK FALLS SILENT")
            self._chance.choice(self.hub.links).silent = True

    async def _cut_off_node(self) -> None:
        if node := self._pick_node():
            node.cut_off(self._chance.choice((0.3, 1.0, 2.0, 4.0)))

    async def _kill_node(self) -> None:
        await self._replace_node(SimulatedNode.kill)

    async def _stop_node(self) -> None:
        await self._replace_node(SimulatedNode.stop)

    async def _replace_node(self, end: Callable[[SimulatedNode], None]) -> None:
        if node := self._pick_node():
            end(node)
            await asyncio.sleep(self._chance.uniform(0.05, 2.0))
            if not self._going_home:
                self._start_node()

    async def _kill_server(self) -> None:
        server = self._chance.choice(list(self.servers.values()))
        server.die()
        await asyncio.sleep(self._chance.choice((0.1, 1.0, 5.0)))
        server.up = True

    # --- what must hold ---

    def _on_published(self, channel: str, data: bytes) -> None:
        name = channel.removeprefix(PREFIX)
        kind, _, player = name.partition(":")
        if kind == "notifications":
            if self._emptied != self.database.emptied:
                self._emptied = self.database.emptied
                self.stories.forget()
            self.stories.hear(player, data)
        self.hub.publish(channel, data)

    def _on_changed(self) -> None:
        if self._emptied != self.database.emptied:
            self._emptied = self.database.emptied
            self.stories.forget()
        text = self._look()
        if text == self._last_look:
            return
        self._last_look = text
        look = read_look(text)
        self._leased |= look.leases
        self._lease_lost |= any(node.alive and node.name in self._leased - look.leases for node in self.nodes)
        for violation in (*contradictions(look, self._sizes), *self.stories.contradictions(look)):
            self.violated(violation)

    def _on_told_to_end(self, server_id: str, session_id: str) -> None:
        """3 and 8: a match that players were told of is nobody's to end, while Redis remembers it."""
        matches = {(match.server_address, match.session_id) for match in self.stories.matches.values()}
        if (self.servers[server_id].address, session_id) in matches and not self.weather_was.emptyings:
            self.violated(f"{server_id} is told to end the session of a match: {session_id}")

    def _on_place_lost(self, player_id: str, away_seconds: float) -> None:
        """Whoever comes back within the grace time finds its place."""
        was = self.weather_was
        # Its grace may have begun before it left: its node could not renew its lease for too long, however that came.
        lease_lost = self._lease_lost or was.late or was.partitions or was.pauses or was.restarts
        kept = away_seconds < GRACE_SECONDS and not was.emptyings and not lease_lost
        if kept and self.stories.last_reason(player_id) == "disconnected":
            self.violated(f"{player_id}: was away for {away_seconds:.3f} s, and its place is gone")

    def _on_overtaken(self, player_id: str) -> None:
        """Of a player's connections it stays with the one that claimed it last, however late the others' claims run."""
        if not self.weather_was.emptyings:  # an emptied Redis does not know who claimed what before
            self.violated(f"{player_id}: its newest connection is closed with 4000, though none claimed it later")

    def _look(self) -> str:
        counted = (list(self.players), [mode.name for mode in self._modes], [n.name for n in self.nodes])
        arguments: list[Any] = []
        for names in (*counted, list(self.servers)):
            arguments += [len(names), *names]
        return self.database.look(arguments)

    def violated(self, text: str) -> None:
        """Something does not hold; the run ends soon after."""
        if not self._violations:
            self._trace.note("VIOLATION", text)
        self._violations.append(text)

    def _stop_if_violated(self) -> None:
        if self._violations:
            raise _Violated

    # --- how it must end ---

    async def _settle(self) -> None:
        """Nothing goes wrong any more: whoever stays is matched, has left, or waits for want of partners."""
        self._trace.note("world", "CALM")
        trusted = self.weather.emptyings == 0
        self.weather.calm()
        for node in self.nodes:
            node.reach_again()
        for server in self.servers.values():
            server.up = True
        self._start_server(capacity=20)
        if not any(node.accepting for node in self.nodes):
            self._start_node()
        for player in self.players.values():
            player.come_back(trusted=trusted)
        deadline = asyncio.get_running_loop().time() + _SETTLED_WITHIN_SECONDS
        while unsettled := self._unsettled():
            self._stop_if_violated()
            if asyncio.get_running_loop().time() > deadline:
                for text in unsettled:
                    self.violated(f"does not settle: {text}")
                raise _Violated
            await asyncio.sleep(_LOOK_SECONDS)
        self._stop_if_violated()

    def _unsettled(self) -> list[str]:
        found = [
            f"{player_id} is {player.journey.state}" for player_id, player in self.players.items() if not player.settled
        ]
        for mode in self._modes:
            waiting = [p for p in self.players.values() if p.waiting and p.journey.game_mode == mode.name]
            if len(waiting) >= mode.players:
                found.append(f"{len(waiting)} players wait in {mode.name}")
        look = read_look(self._look())
        for player_id, record in look.players.items():
            if record["state"] != "matched" and self.players[player_id].gone:
                found.append(f"{player_id} has gone, and is {record['state']}")
        return found

    async def _go_home(self) -> None:
        """Everybody leaves: what is left behind then has nobody to own it."""
        self._trace.note("world", "GO HOME")
        self._going_home = True
        for violation in self.stories.check_servers(self.servers):
            self.violated(violation)
        for player in self.players.values():
            player.go_home()
        await self._until("everybody and every session to go", self._all_gone)
        for server in self.servers.values():
            server.leaving = True
        await asyncio.wait(self._serving)
        for node in self.nodes:
            node.stop()
        for node in self.nodes:
            await node.ended()
        for key, ttl in self.database.keys().items():
            if ttl < 0 and key not in _PERMANENT:
                self.violated(f"left behind, without an owner or an end: {key}")
        self._stop_if_violated()

    def _all_gone(self) -> list[str]:
        look = read_look(self._look())
        found = [f"{p} is {record['state']}" for p, record in look.players.items() if record["state"] != "matched"]
        found += [f"{node} is dead, and has a lease" for node in look.leases - {n.name for n in self.nodes if n.alive}]
        found += [f"{node.name} has {node.sessions} sessions" for node in self.nodes if node.sessions]
        for server_id, server in self.servers.items():
            live, known = server.sessions.live_ids(), look.servers[server_id]
            if live or known.active or known.reserved:
                found.append(f"{server_id} runs {live}, has active {known.active}, reserved {known.reserved}")
        return found

    async def _until(self, what: str, missing: Callable[[], list[str]]) -> None:
        deadline = asyncio.get_running_loop().time() + _SETTLED_WITHIN_SECONDS
        while found := missing():
            self._stop_if_violated()
            if asyncio.get_running_loop().time() > deadline:
                self.violated(f"waited in vain for {what}: {'; '.join(found)}")
                raise _Violated
            await asyncio.sleep(_LOOK_SECONDS)
