"""The receiving end of a helper process: one JSON command a line on stdin, one JSON answer a line on stdout."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from benchmarks.load.processes import raise_descriptor_limit

Answer = dict[str, Any]
_LINE_BYTES = 1 << 26


async def serve_commands(commands: Mapping[str, Callable[..., Awaitable[Answer]]]) -> None:
    """Carry out commands, one after the other, until stdin ends."""
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    _say("ready")
    while line := await reader.readline():
        command, arguments = json.loads(line)
        _say(json.dumps(await commands[command](**arguments)))


def run_process(serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a helper process on uvloop, where there is one."""
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - there is none for Windows
    except ImportError:
        return None
    return uvloop.new_event_loop


def _say(line: str) -> None:
    data = line.encode() + b"\n"
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]
