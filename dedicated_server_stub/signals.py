"""Ctrl-C and SIGTERM as events."""

import asyncio
import signal


class StopSignals:
    """`asked` is set by the first signal, `asked_twice` by the second."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.asked_twice = asyncio.Event()

    def install(self) -> None:
        """Take the signals of the process over; call it on the running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._received)

    def _received(self) -> None:
        if self.asked.is_set():
            self.asked_twice.set()
        self.asked.set()
