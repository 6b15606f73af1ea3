"""One seed: its nodes, players and dedicated servers, from their beginning to the end that it must have."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

from match_server.matching.modes import GameMode
from match_server.store.scripts import Script
from test_client.tickets import Brought
from tests.shared.invariants import OF_THE_POOL
from tests.shared.look import Look
from tests.simulation import loop, weather
from tests.simulation.database import PREFIX, Database
from tests.simulation.hurry import hurried
from tests.simulation.judge import Judge, Violated
from tests.simulation.logs import listen_to_logs
from tests.simulation.node import SimulatedNode, Surroundings
from tests.simulation.outcome import Outcome
from tests.simulation.players import SimulatedPlayer
from tests.simulation.pubsub import Hub
from tests.simulation.seeded import seeded
from tests.simulation.servers import SimulatedProvider, SimulatedServer
from tests.simulation.settings import LOADING_SECONDS, simulated_settings
from tests.simulation.trace import Trace
from tests.simulation.trouble import Trouble
from tests.simulation.wire import Wire

_START = 1_700_000_000.0
_MODES = (GameMode("duel", 2), GameMode("trio", 3))
_BY_RULES = tuple(replace(mode, rules=()) for mode in _MODES)
_SEEDS_BY_RULES = 4  # every so many seeds the modes have rules
_WITH_PARTIES = tuple(replace(mode, party_max=2) for mode in _BY_RULES)
_SEEDS_WITH_PARTIES = 2 * _SEEDS_BY_RULES
_PARTY_SHARE = 0.5
_SETTLED_WITHIN_SECONDS = 75.0
_LOOK_SECONDS = 0.25


def simulate(seed: int, wire: Wire, scripts: Mapping[str, Script], *, traced: bool = False) -> Outcome:
    """Run one seed to its end, or to the first violation."""
    simulated = loop.SimulatedLoop(start=_START, shuffle=_stream(seed, "order") if seed % 2 else None)
    trace = Trace(simulated.time)
    with hurried(), seeded(_stream(seed, "ids"), simulated.time):
        world = World(seed, wire, scripts, trace)
        judge = world.judge
        listen_to_logs(trace, judge.violated, everything=traced)
        try:
            with suppress(Violated):
                loop.run(simulated, world.run, world.end)
        except loop.Stuck as stuck:
            judge.violations.append(f"stuck: {stuck}")
    return Outcome(
        seed=seed,
        violations=tuple(judge.violations),
        digest=trace.digest(),
        steps=world.database.steps,
        simulated_seconds=simulated.time() - _START,
        matches=len(judge.stories.matches),
        trace=tuple(trace.lines()) if traced or judge.violations else (),
    )


def _stream(seed: int, name: str) -> Random:
    return Random(f"{seed}:{name}")  # noqa: S311 - repeatable on purpose


def _can_form(mode: GameMode, look: Look) -> bool:
    """Whether some of the tickets that can be proposed make a whole match: parties may be left over that do not."""
    sums = {0}
    for ticket_id in look.mode(mode.name).tickets:
        size = int(look.tickets[ticket_id]["#size"])
        sums |= {players + size for players in sums}
    return mode.players in sums


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, wire: Wire, scripts: Mapping[str, Script], trace: Trace) -> None:
        self._seed = seed
        self._scripts = scripts
        self._trace = trace
        self._chance = _stream(seed, "world")
        self._weather = weather.draw(self._chance) if seed % 50 else weather.fair(self._chance)
        modes = _MODES if seed % _SEEDS_BY_RULES else _BY_RULES if seed % _SEEDS_WITH_PARTIES else _WITH_PARTIES
        self._modes = modes if self._chance.random() < 0.3 else (self._chance.choice(modes),)
        self._seconds = self._chance.uniform(1.5, 4.0)
        self._servers: dict[str, SimulatedServer] = {}
        self._players: dict[str, SimulatedPlayer] = {}
        self._nodes: list[SimulatedNode] = []
        self._going_home = False
        self._helpers: list[asyncio.Task[None]] = []
        self._serving: list[asyncio.Task[None]] = []
        self.judge = Judge(self._modes, self._weather, nodes=self._nodes, servers=self._servers, trace=trace)
        self._hub = Hub()
        self.database = Database(
            wire,
            scripts,
            trace=trace,
            on_published=self._on_published,
            on_changed=lambda: self.judge.look_at(self.database.look_text(), self.database.new_events()),
            on_emptied=self.judge.on_emptied,
        )

    async def run(self) -> None:
        """The whole of it."""
        self.database.prepare()
        self._trace.note("seed", str(self._seed), self._weather)
        self._around = self._surroundings()
        for _ in range(self._chance.choice((1, 2, 2, 2, 3))):
            self._start_node()
        for _ in range(self._chance.choice((1, 1, 2, 3))):
            self._start_server(self._chance.choice((1, 2, 4)))
        self._add_players(self._chance.randint(4, 10))
        for trouble in self._trouble().plan(self._seconds):
            self._help(trouble)
        await asyncio.sleep(self._seconds)
        await self._settle()
        await self._go_home()

    def end(self) -> None:
        """Whatever still runs reaches nothing any more."""
        for node in self._nodes:
            node.kill()

    # --- what there is ---

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            settings=simulated_settings(self._modes),
            scripts=self._scripts,
            database=self.database,
            hub=self._hub,
            provider=SimulatedProvider(self._servers),
            weather=self._weather,
            chance=_stream(self._seed, "network"),
            trace=self._trace,
            on_violation=self.judge.violated,
        )

    def _trouble(self) -> Trouble:
        return Trouble(
            self._weather,
            chance=self._chance,
            trace=self._trace,
            database=self.database,
            hub=self._hub,
            servers=self._servers,
            pick_node=self._pick_node,
            start_node=self._start_another_node,
        )

    def _start_node(self) -> None:
        node = SimulatedNode(f"n{len(self._nodes) + 1}", self._around)
        self._nodes.append(node)
        node.start()

    def _start_another_node(self) -> None:
        if not self._going_home:
            self._start_node()

    def _start_server(self, capacity: int) -> None:
        server = SimulatedServer(
            f"s{len(self._servers) + 1}",
            capacity=capacity,
            batch=self._chance.random() < 0.5,
            weather=self._weather,
            chance=_stream(self._seed, f"server {len(self._servers)}"),
            trace=self._trace,
            pick_node=self._pick_node,
            on_told_to_end=self.judge.on_told_to_end,
            start=self._help,
        )
        self._servers[server.server_id] = server
        self._serving.append(self._task(server.run()))

    def _add_players(self, end: int) -> None:
        """Players up to this number; where the mode allows it, some of them with the next one in a party of two."""
        number = 1
        while number < end:
            mode = self._chance.choice(self._modes)
            if mode.party_max > 1 and number + 1 < end and self._chance.random() < _PARTY_SHARE:
                brings = Brought(party_id=f"party-{number}", party_size=2)
                self._add_player(f"p{number}", mode.name, brings)
                number += 1
                self._add_player(f"p{number}", mode.name, brings)
            else:
                self._add_player(f"p{number}", mode.name, Brought())
            number += 1

    def _add_player(self, player_id: str, game_mode: str, brings: Brought) -> None:
        player = SimulatedPlayer(
            player_id,
            game_mode,
            brings=brings,
            loading_seconds=LOADING_SECONDS,
            weather=self._weather,
            chance=_stream(self._seed, player_id),
            trace=self._trace,
            pick_node=self._pick_node,
            on_violation=self.judge.violated,
            on_place_lost=self.judge.on_place_lost,
            on_overtaken=self.judge.on_overtaken,
        )
        self._players[player_id] = player
        asyncio.get_running_loop().call_later(self._chance.uniform(0.02, self._seconds * 0.7), player.arrive)

    def _pick_node(self) -> SimulatedNode | None:
        accepting = [node for node in self._nodes if node.accepting]
        return self._chance.choice(accepting) if accepting else None

    def _on_published(self, channel: str, data: bytes) -> None:
        kind, _, player = channel.removeprefix(PREFIX).partition(":")
        if kind == "notifications":
            self.judge.stories.hear(player, data)
        self._hub.publish(channel, data)

    def _help(self, work: Coroutine[Any, Any, None]) -> None:
        self._helpers.append(self._task(work))

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error:
            self.judge.violated(f"the simulation itself failed: {error!r}")

    # --- how it must end ---

    async def _settle(self) -> None:
        """Nothing goes wrong any more: whoever stays is matched, has left, or waits for want of partners."""
        self._trace.note("world", "CALM")
        trusted = self._weather.emptyings == 0
        self._weather.calm()
        for node in self._nodes:
            node.reach_again()
        for server in self._servers.values():
            server.up = True
        self._start_server(capacity=20)
        if not any(node.accepting for node in self._nodes):
            self._start_node()
        for player in self._players.values():
            player.come_back(trusted=trusted)
        deadline = asyncio.get_running_loop().time() + _SETTLED_WITHIN_SECONDS
        while unsettled := self._unsettled():
            self.judge.stop_if_violated()
            if asyncio.get_running_loop().time() > deadline:
                for text in unsettled:
                    self.judge.violated(f"does not settle: {text}")
                raise Violated
            await asyncio.sleep(_LOOK_SECONDS)
        self.judge.stop_if_violated()

    def _unsettled(self) -> list[str]:
        found = [
            f"{player_id} is {player.journey.state}"
            for player_id, player in self._players.items()
            if not player.settled
        ]
        look = self.database.look()
        for mode in self._modes:
            waiting = [p for p in self._players.values() if p.waiting and p.journey.game_mode == mode.name]
            if len(waiting) >= mode.players and (mode.party_max == 1 or _can_form(mode, look)):
                found.append(f"{len(waiting)} players wait in {mode.name}")
        for player_id, record in look.players.items():
            if record["state"] != "matched" and self._players[player_id].gone:
                found.append(f"{player_id} has gone, and is {record['state']}")
        return found

    async def _go_home(self) -> None:
        """Everybody leaves: what is left behind then has nobody to own it."""
        self._trace.note("world", "GO HOME")
        self._going_home = True
        for violation in self.judge.stories.check_servers(self._servers):
            self.judge.violated(violation)
        for player in self._players.values():
            player.go_home()
        await self._until("everybody and every session to go", self._all_gone)
        for server in self._servers.values():
            server.leaving = True
        await asyncio.wait(self._serving)
        await self._until("what came late to end", self._all_ended)
        for node in self._nodes:
            node.stop()
        for node in self._nodes:
            await node.ended()
        for key, ttl in self.database.keys().items():
            if ttl < 0 and key not in OF_THE_POOL:
                self.judge.violated(f"left behind, without an owner or an end: {key}")
        self.judge.stop_if_violated()

    def _all_gone(self) -> list[str]:
        look = self.database.look()
        found = [f"{p} is {record['state']}" for p, record in look.players.items() if record["state"] != "matched"]
        found += [f"{node} is dead, and has a lease" for node in look.leases - {n.name for n in self._nodes if n.alive}]
        found += [f"{node.name} has {node.sessions} sessions" for node in self._nodes if node.sessions]
        for server_id, server in self._servers.items():
            live, known = server.sessions.live_ids(), look.server(server_id)
            if live or known.active or known.reserved:
                found.append(f"{server_id} runs {live}, has active {known.active}, reserved {known.reserved}")
        return found

    def _all_ended(self) -> list[str]:
        """Also what a command that arrived late has made of those who had gone: by its lease, or its grace."""
        found = [f"{self.database.under_way} commands are under way"] if self.database.under_way else []
        registered = [server_id for server_id, known in self.database.look().servers.items() if known.record]
        return found + [f"{server_id} is registered" for server_id in registered] + self._all_gone()

    async def _until(self, what: str, missing: Callable[[], list[str]]) -> None:
        deadline = asyncio.get_running_loop().time() + _SETTLED_WITHIN_SECONDS
        while found := missing():
            self.judge.stop_if_violated()
            if asyncio.get_running_loop().time() > deadline:
                self.judge.violated(f"waited in vain for {what}: {'; '.join(found)}")
                raise Violated
            await asyncio.sleep(_LOOK_SECONDS)
