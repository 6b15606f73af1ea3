"""How the installed commands begin. Imports only what costs no time: Python imports the rest for half a second."""

import os
import signal
from importlib import import_module
from types import FrameType
from typing import Any

_STOPS = (signal.SIGINT, signal.SIGTERM)


def match_server() -> None:
    """The command `match-server`."""
    _run("match_server.cli")


def dedicated_server_stub() -> None:
    """The command `dedicated-server-stub`."""
    _run("dedicated_server_stub.cli")


def test_client() -> None:
    """The command `test-client`."""
    _run("test_client.cli")


def _run(module: str) -> None:
    """Import a module and run its `main`. A stop during the import ends the process at once: nothing runs yet."""
    before: dict[signal.Signals, Any] = {number: signal.getsignal(number) for number in _STOPS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _end)
    main = import_module(module).main
    for number, handler in before.items():
        signal.signal(number, handler)
    main()


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)  # not SystemExit: where the signal meets a finalizer, Python prints that one and goes on
