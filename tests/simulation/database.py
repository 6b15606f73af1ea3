"""The simulation's Redis: a real one, called step by step, at simulated times, whose outages are simulated."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis import exceptions

from match_server.store.scripts import Script
from tests.shared.look import LOOK, Look, read_contents
from tests.simulation.scripts import CLOCK_KEY
from tests.simulation.trace import Trace
from tests.simulation.wire import Command, Wire

PREFIX = "pool:"
_DELETE = "for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do redis.call('DEL', key) end"
_FENCE: Command = ("PING",)
_LOOK_SHA = hashlib.sha1(LOOK.encode(), usedforsecurity=False).hexdigest()

# Replies that say that a script changed nothing; what it changed all the same is seen at the next step.
_NOTHING: Mapping[str, Callable[[Any], bool]] = {
    "sweep": lambda reply: reply[0] == 1,
    "adopt": lambda reply: len(reply) == 1,
    "expire_nodes": lambda reply: reply == [0],
    "expire_players": lambda reply: not any(reply),
    "expire_sessions": lambda reply: not any(reply),
    "expire_servers": lambda reply: not any(reply),
    "try_match": lambda reply: reply[0] == 0,
    "due_modes": lambda _reply: True,
    "renew": lambda reply: reply == [1],
    "place": lambda reply: not reply,
    "catch_up": lambda _reply: True,
    "trim_events": lambda reply: not reply,
}
_READS = {"PING", "PUBLISH", "GET", "HSCAN", "SSCAN", "INFO", "SCRIPT"}


class Database:
    """Runs commands at once; tells what was published, and when something has changed.

    Args:
        wire: the connection; one simulation at a time.
        scripts: the scripts, loaded.
        on_published: told each message: channel, data.
        on_changed: called after each step that changed something.
        on_emptied: called when it has lost its data.
    """

    def __init__(
        self,
        wire: Wire,
        scripts: Mapping[str, Script],
        *,
        trace: Trace,
        on_published: Callable[[str, bytes], None],
        on_changed: Callable[[], None],
        on_emptied: Callable[[], None],
    ) -> None:
        self.run_id = "run-0"
        self.up = True
        self.paused_until = 0.0
        self.under_way = 0  # commands that will arrive late
        self.steps = 0
        self._wire = wire
        self._names = {script.sha: name for name, script in scripts.items()}
        self._scripts = scripts
        self._trace = trace
        self._on_published = on_published
        self._on_changed = on_changed
        self._on_emptied = on_emptied
        self._last_us = 0
        self._last_entry = ""

    @property
    def now_us(self) -> int:
        """The time that the next step will go by; no two steps have the same."""
        return max(int(asyncio.get_running_loop().time() * 1_000_000), self._last_us + 1)

    def run(self, who: str, commands: Sequence[Command]) -> list[Any]:
        """One step. Replies may be errors, as in a pipeline."""
        self.steps += 1
        self._last_us = self.now_us
        sent = [_FENCE if command[0] == "INFO" else command for command in commands]
        _, *replies, _ = self._wire.exchange([("SET", CLOCK_KEY, self._last_us), *sent, _FENCE])
        changed = False
        for index, command in enumerate(commands):
            if command[0] == "INFO":
                replies[index] = {"run_id": self.run_id}
            name = self._script_name(command) or command[0]
            if not self._left_all_as_it_was(name, replies[index]):
                changed = True
                self._trace.note(who, name, command[4:], "->", replies[index])
        published, self._wire.published = self._wire.published, []
        for channel, data in published:
            self._on_published(channel, data)
        if changed:
            self._on_changed()
        return replies

    def _script_name(self, command: Command) -> str | None:
        if command[0] == "EVALSHA":
            return self._names.get(command[1])
        if command[0] == "EVAL":
            return next(name for name, script in self._scripts.items() if script.text == command[1])
        return None

    def look(self) -> Look:
        """Look at the pool."""
        return Look(read_contents(self.look_text()))

    def look_text(self) -> bytes:
        """The pool as look.lua found it: the same text, as long as nothing has changed."""
        (reply,) = self._wire.exchange([("EVALSHA", _LOOK_SHA, 0, PREFIX)])
        if isinstance(reply, exceptions.NoScriptError):
            (reply,) = self._wire.exchange([("EVAL", LOOK, 0, PREFIX)])
        if isinstance(reply, Exception):
            raise reply
        text: bytes = reply[0]
        return text

    def new_events(self) -> list[tuple[str, str]]:
        """The entries of the stream of events since the last call, each with its id."""
        start = f"({self._last_entry}" if self._last_entry else "-"
        (reply,) = self._wire.exchange([("XRANGE", f"{PREFIX}events", start, "+")])
        entries = [(entry_id.decode(), fields[1].decode()) for entry_id, fields in reply]
        if entries:
            self._last_entry = entries[-1][0]
        return entries

    def keys(self) -> dict[str, int]:
        """Every key of the pool, with its time to live in real seconds; -1 has none."""
        (names,) = self._wire.exchange([("KEYS", f"{PREFIX}*")])
        ttls = self._wire.exchange([("TTL", name) for name in names])
        pairs = zip((name.decode().removeprefix(PREFIX) for name in names), ttls, strict=True)
        return dict(sorted(pairs))

    # --- trouble ---

    def lose_everything(self) -> None:
        """Empty the pool, as a restart without data does."""
        self._trace.note("redis", "EMPTIED")
        self._wire.exchange([("EVAL", _DELETE, 0, PREFIX)])
        self._on_emptied()

    def restart(self) -> None:
        """Come up under a new run id."""
        self.run_id = f"run-{int(self.run_id.partition('-')[2]) + 1}"

    def forget_scripts(self) -> None:
        """SCRIPT FLUSH."""
        self._trace.note("redis", "SCRIPT FLUSH")
        self._wire.exchange([("SCRIPT", "FLUSH")])

    def prepare(self) -> None:
        """Begin with an empty pool and every script loaded."""
        self._wire.exchange([("EVAL", _DELETE, 0, PREFIX), ("SET", CLOCK_KEY, 0)])
        self._wire.published = []
        known = self._wire.exchange([("SCRIPT", "EXISTS", *self._names)])[0]
        if not all(known):
            self._wire.exchange([("SCRIPT", "LOAD", script.text) for script in self._scripts.values()])

    def _left_all_as_it_was(self, name: str, reply: Any) -> bool:
        if isinstance(reply, Exception):
            return False
        nothing = _NOTHING.get(name)
        return nothing(reply) if nothing else name in _READS
