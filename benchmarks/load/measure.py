"""What processes cost: CPU seconds and resident bytes, read from the kernel. Children count with their parent."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of named processes at one instant; subtract two of them for what an interval cost."""

    seconds: dict[str, float]

    def since(self, before: "Spent") -> dict[str, float]:
        """CPU seconds by name between two readings."""
        return {name: value - before.seconds.get(name, 0.0) for name, value in self.seconds.items()}


def spent(pids: dict[str, int]) -> Spent:
    """Read the CPU time of processes, descendants included."""
    parents = _parents()
    return Spent({name: sum(cpu_seconds(one) for one in family(pid, parents)) for name, pid in pids.items()})


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads included; 0 for one that is gone.

    The same time as utime + stime of /proc/<pid>/stat, but in nanoseconds instead of ticks of 10 ms: the clock id of
    another process' CPU is made as clock_getcpuclockid(3) makes it.
    """
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def resident_bytes(pid: int) -> int:
    """Memory of a process and its descendants that is in RAM: Pss, so that shared pages count once."""
    return sum(pss_bytes((_PROC / str(one) / "smaps_rollup").read_text()) for one in family(pid))


def pss_bytes(smaps: str) -> int:
    """The Pss line of a smaps_rollup file.

    Raises:
        ValueError: there is none.
    """
    for line in smaps.splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1024
    raise ValueError("smaps_rollup: no line Pss")


def parent_pid(stat: str) -> int:
    """The parent's process id in a /proc/<pid>/stat line; the command's name in it may hold anything."""
    return int(stat.rpartition(")")[2].split()[1])


def _parents() -> dict[int, int]:
    """Parent by process, of all that run. Not from /proc/<pid>/task/*/children, which not every kernel has."""
    found: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = parent_pid(path.read_text())
        except OSError:
            continue  # it ended meanwhile
    return found


def family(pid: int, parents: Mapping[int, int] | None = None) -> list[int]:
    """A process and its living descendants."""
    parents = parents or _parents()
    members = [pid]
    for member in members:
        members.extend(child for child, parent in parents.items() if parent == member)
    return members
