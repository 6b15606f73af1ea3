"""The model: players arrive, match, load, play; each step takes its share of a node's core and of its pool's Redis.

It is an open queueing network (simpy). Cores are servers of capacity one, first come, first served. A slot of a
dedicated server is taken when a match forms and freed when its session ends. What a core spends on connections that
only wait is not queued for; it slows the rest down by 1 / (1 - its share), as processor sharing would.
Arrivals are Poisson, sessions last exponentially long, so that the run can begin in its steady state.
"""

import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import simpy

# Of what a match costs: until its players are told `start_loading`, from the last of them having loaded to
# `match_found`, and at the end of its session.
_FORM, _FIND, _END = 0.4, 0.4, 0.2


_Steps: TypeAlias = Generator[simpy.Event, Any, None]


class DoesNotHold(ValueError):
    """A core has more to do than it has time; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """CPU, in seconds of one core."""

    node_per_match: float
    redis_per_match: float
    node_per_connection: float = 0.0  # of a second of waiting
    redis_per_connection: float = 0.0
    node_idle: float = 0.0  # of a second of a node
    redis_idle: float = 0.0  # of a second of a node


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A deployment and its load. Rates and times are in seconds."""

    costs: Costs
    matches_per_second: float  # that the arrivals make
    connected: int = 0  # players who wait
    nodes: int = 1
    pools: int = 1  # each with a queue and a Redis of its own
    players_per_match: int = 2
    loading: tuple[float, float] = (0.0, 0.0)  # of each player, evenly between the two
    session_seconds: float = 600.0  # on average
    slots: int | None = None  # of each pool; None: as many as it takes
    seconds: float = 60.0
    warm_up_seconds: float = 0.0
    seed: int = 1

    @property
    def node_background(self) -> float:
        """The share of a node's core that waiting connections and the node itself take."""
        return self.connected / self.nodes * self.costs.node_per_connection + self.costs.node_idle

    @property
    def redis_background(self) -> float:
        """The same of the core of a pool's Redis."""
        idle = self.nodes * self.costs.redis_idle  # a node serves every pool
        return self.connected / self.pools * self.costs.redis_per_connection + idle

    @property
    def node_share(self) -> float:
        """The share of a node's core that everything takes."""
        return self.node_background + self.matches_per_second / self.nodes * self.costs.node_per_match

    @property
    def redis_share(self) -> float:
        """The same of the core of a pool's Redis."""
        return self.redis_background + self.matches_per_second / self.pools * self.costs.redis_per_match


@dataclass(slots=True)
class Outcome:
    """What became of it, without the warm-up; times in seconds."""

    to_start: list[float] = field(default_factory=list)  # of each match: from its last player to `start_loading`
    to_found: list[float] = field(default_factory=list)  # from the last player having loaded to `match_found`
    for_company: list[float] = field(
        default_factory=list
    )  # of each player: from its arrival to its match's last player
    for_a_slot: list[float] = field(default_factory=list)  # of each match: from its last player until it could form
    slots_taken: list[int] = field(default_factory=list)  # in all pools, each second


@dataclass(slots=True)
class _Pool:
    redis: simpy.Resource
    waiting: deque[float] = field(default_factory=deque)  # arrivals
    taken: int = 0


def simulate(plan: Plan) -> Outcome:
    """Run a plan.

    Raises:
        DoesNotHold: a core has too much to do; its queue would only grow.
    """
    for name, share in (("a node", plan.node_share), ("a pool's Redis", plan.redis_share)):
        if share >= 1:
            raise DoesNotHold(f"the core of {name} has {share:.0%} of its time to do")
    run = _Run(plan)
    run.env.run(until=plan.warm_up_seconds + plan.seconds)
    return run.outcome


class _Run:
    def __init__(self, plan: Plan) -> None:
        self.env = simpy.Environment()
        self.outcome = Outcome()
        self._plan = plan
        self._rng = random.Random(plan.seed)  # noqa: S311 - a simulation, no secret
        self._nodes = [simpy.Resource(self.env) for _ in range(plan.nodes)]
        self._pools = [_Pool(simpy.Resource(self.env)) for _ in range(plan.pools)]
        self._node_seconds = plan.costs.node_per_match / (1 - plan.node_background)
        self._redis_seconds = plan.costs.redis_per_match / (1 - plan.redis_background)
        for pool in self._pools:
            self.env.process(self._arrivals(pool))
            running = round(plan.matches_per_second / plan.pools * plan.session_seconds)
            for _ in range(running if plan.slots is None else min(running, plan.slots)):
                pool.taken += 1
                self.env.process(self._session(pool, self._rng.choice(self._nodes)))
        self.env.process(self._watch())

    @property
    def _counts(self) -> bool:
        return self.env.now >= self._plan.warm_up_seconds

    def _arrivals(self, pool: _Pool) -> _Steps:
        plan = self._plan
        rate = plan.matches_per_second * plan.players_per_match / plan.pools
        while True:
            yield self.env.timeout(self._rng.expovariate(rate))
            pool.waiting.append(self.env.now)
            self._form(pool)

    def _form(self, pool: _Pool) -> None:
        plan = self._plan
        while len(pool.waiting) >= plan.players_per_match and (plan.slots is None or pool.taken < plan.slots):
            pool.taken += 1
            arrived = [pool.waiting.popleft() for _ in range(plan.players_per_match)]
            self.env.process(self._match(pool, arrived))

    def _match(self, pool: _Pool, arrived: list[float]) -> _Steps:
        filled = arrived[-1]
        if self._counts:
            self.outcome.for_company += [filled - one for one in arrived]
            self.outcome.for_a_slot.append(self.env.now - filled)
        node = self._rng.choice(self._nodes)
        yield from self._work(pool, node, _FORM)
        if self._counts:
            self.outcome.to_start.append(self.env.now - filled)
        yield self.env.timeout(max(self._rng.uniform(*self._plan.loading) for _ in arrived))
        loaded = self.env.now
        yield from self._work(pool, node, _FIND)
        if self._counts:
            self.outcome.to_found.append(self.env.now - loaded)
        yield from self._session(pool, node)

    def _session(self, pool: _Pool, node: simpy.Resource) -> _Steps:
        yield self.env.timeout(self._rng.expovariate(1 / self._plan.session_seconds))
        yield from self._work(pool, node, _END)
        pool.taken -= 1
        self._form(pool)

    def _work(self, pool: _Pool, node: simpy.Resource, share: float) -> _Steps:
        for core, seconds in ((node, self._node_seconds), (pool.redis, self._redis_seconds)):
            with core.request() as turn:
                yield turn
                yield self.env.timeout(share * seconds)

    def _watch(self) -> _Steps:
        while True:
            if self._counts:
                self.outcome.slots_taken.append(sum(pool.taken for pool in self._pools))
            yield self.env.timeout(1)
