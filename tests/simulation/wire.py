"""The one connection to Redis: blocking, so that each round trip is one step.

It speaks RESP3, so that what is published comes over the same connection, in order.
"""

import socket
from collections.abc import Sequence
from typing import Any

import hiredis
from redis import exceptions

Command = tuple[Any, ...]


class Wire:
    """Sends commands and waits for their replies; messages of subscribed channels gather in `published`."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = hiredis.Reader(replyError=_error, notEnoughData=False)
        self.published: list[tuple[str, bytes]] = []
        self.exchange([("HELLO", 3)])

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """The replies, errors among them. A command that does not publish must stand last: it fences the messages."""
        self._socket.sendall(b"".join([hiredis.pack_command(command) for command in commands]))
        replies: list[Any] = []
        while len(replies) < len(commands):
            reply = self._reader.gets()
            if reply is False:
                received = self._socket.recv(65536)
                if not received:
                    raise ConnectionError("the simulation's Redis is gone")
                self._reader.feed(received)
            elif isinstance(reply, hiredis.PushNotification):
                if reply[0] == b"pmessage":
                    self.published.append((reply[2].decode(), reply[3]))
            else:
                replies.append(reply)
        return replies

    def subscribe(self, pattern: str) -> None:
        """Listen to every channel that fits the pattern."""
        command: Command = ("PSUBSCRIBE", pattern)
        self._socket.sendall(hiredis.pack_command(command))
        self.exchange([("PING",)])

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()


def _error(text: str) -> exceptions.ResponseError:
    """The exception that redis-py would have made of this reply."""
    if text.startswith("NOSCRIPT"):
        return exceptions.NoScriptError(text)
    return exceptions.ResponseError(text)
