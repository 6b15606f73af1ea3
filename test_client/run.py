"""One run in this process: an event loop, the live display, and a clean stop on a signal."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from rich.console import Console

from test_client.progress import show_progress
from test_client.swarm import Swarm

GARBAGE_THRESHOLD = 50_000  # thousands of players are a great many objects, and all live to the end
OPEN_FILES = 65_536
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_swarm(swarm: Swarm, console: Console) -> int | None:
    """Run to the end, or until Ctrl-C or SIGTERM; the number of that signal is returned."""
    _raise_open_files_limit()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_until_signalled(swarm, show_progress(swarm, console)))


async def _until_signalled(swarm: Swarm, display: Coroutine[Any, Any, None]) -> int | None:
    loop = asyncio.get_running_loop()
    caught: list[int] = []

    def on_signal(number: int) -> None:
        caught.append(number)
        for each in _SIGNALS:  # a second one ends the process at once
            loop.remove_signal_handler(each)
        swarm.stop()

    if sys.platform != "win32":
        for each in _SIGNALS:
            loop.add_signal_handler(each, on_signal, each)
    async with asyncio.TaskGroup() as group:
        showing = group.create_task(display)
        await swarm.run()
        showing.cancel()
    return caught[0] if caught else None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - there is none for Windows

    return uvloop.new_event_loop


def _raise_open_files_limit() -> None:
    """A player is a descriptor; the usual soft limit of 1,024 is soon reached."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - there is none on Windows

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
