"""How long Redis' calls took, by script: read from its own slow log."""

import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from match_server.store.scripts import load_scripts

_ENTRIES = 200_000
_PAUSED_US = 1_000_000_000


class RedisClock:
    """Durations, in µs, of the commands that Redis ran inside `watching`."""

    def __init__(self, socket: Path) -> None:
        self.redis = Redis(unix_socket_path=str(socket), protocol=2)
        self._names = {script.sha: name for name, script in load_scripts().items()}
        self.durations_us: dict[str, list[int]] = {}

    @contextmanager
    def watching(self, threshold_us: int) -> Iterator[None]:
        """Note commands that take at least so long; 0 notes each of them."""
        self.redis.config_set("slowlog-max-len", _ENTRIES)
        self.redis.slowlog_reset()
        self.redis.config_set("slowlog-log-slower-than", threshold_us)
        yield
        self.redis.config_set("slowlog-log-slower-than", _PAUSED_US)
        found: dict[str, list[int]] = defaultdict(list)
        for entry in self.redis.slowlog_get(_ENTRIES):
            found[self._name(entry["command"])].append(int(entry["duration"]))
        self.durations_us = dict(found)

    def longest(self) -> tuple[float, str]:
        """The longest call, in ms, and its script or command in words; none of our own counts, such as FLUSHALL.

        A median far below it says that the call was not long but kept from its core.
        """
        named = {name: max(values) for name, values in self.durations_us.items() if name not in _OUR_OWN}
        if not named:
            return 0.0, "none"
        name = max(named, key=named.__getitem__)
        durations = self.durations_us[name]
        median_ms = statistics.median(durations) / 1000
        over = sum(value > _LONG_US for value in durations)
        words = f"{name}; the median of the {len(durations)} noted ones took {median_ms:.2f} ms, {over} over 5 ms"
        return named[name] / 1000, words

    def _name(self, command: bytes) -> str:
        words = command.decode(errors="replace").split(" ", 2)
        if words[0].upper() == "EVALSHA":
            return self._names.get(words[1], words[1])
        return words[0].upper()


_LONG_US = 5_000
_OUR_OWN = {"CONFIG", "FLUSHALL", "SLOWLOG", "SCRIPT"}
