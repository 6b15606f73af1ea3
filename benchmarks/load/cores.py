"""Which process runs on which core, so that repetitions compare."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Cores by role. `nodes` is taken round robin by the nodes of a run."""

    nodes: tuple[frozenset[int], ...]
    redis: frozenset[int]
    stub: frozenset[int]
    load: frozenset[int]

    def node(self, index: int) -> frozenset[int]:
        """The core of a node."""
        return self.nodes[index % len(self.nodes)]

    def redis_alone(self) -> "Layout":
        """The same with Redis' core to itself, for cases that time single calls of Redis."""
        first = self.nodes[0]
        if first == self.redis:
            return self
        return Layout(
            nodes=tuple(first if cores == self.redis else cores for cores in self.nodes),
            redis=self.redis,
            stub=first if self.stub == self.redis else self.stub,
            load=first if self.load == self.redis else self.load,
        )

    def describe(self) -> str:
        """One line for the report."""
        nodes = " and ".join(_shown(cores) for cores in self.nodes)
        return (
            f"nodes on {nodes}; Redis on {_shown(self.redis)}; stub on {_shown(self.stub)}; load on {_shown(self.load)}"
        )


def layout(available: frozenset[int]) -> Layout:
    """Spread the roles over the cores there are.

    With two cores a node has one for itself, and Redis, the stub and the load generator share the other: in a burst
    the node uses about as much CPU as those three together. A second node shares the second core with them.
    """
    cores = [frozenset({core}) for core in sorted(available)]
    if len(cores) == 1:
        return Layout(nodes=(cores[0],), redis=cores[0], stub=cores[0], load=cores[0])
    if len(cores) < 4:
        first, last = cores[0], cores[-1]
        return Layout(nodes=(first, last), redis=last, stub=last, load=last)
    return Layout(nodes=(cores[0], cores[1]), redis=cores[2], stub=cores[3], load=cores[3])


def here() -> Layout:
    """The layout for the cores that this process may use; without affinity (not Linux) nothing is pinned."""
    if not hasattr(os, "sched_getaffinity"):
        nowhere: frozenset[int] = frozenset()
        return Layout(nodes=(nowhere,), redis=nowhere, stub=nowhere, load=nowhere)
    return layout(frozenset(os.sched_getaffinity(0)))


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Keep this process to `cores`: it starts the others and polls, and must not do so where Redis is timed."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _shown(cores: frozenset[int]) -> str:
    return "core " + ",".join(str(core) for core in sorted(cores)) if cores else "any core"
