"""Messages of one WebSocket, from their frames."""

from websockets.frames import Frame, Opcode

_PARTS = 256  # of one message


class TooManyParts(Exception):
    """A message of countless empty parts, say, which has no size that would be too large."""


class MessageParts:
    """The parts of a message that is not whole yet."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._is_text = False

    def add(self, frame: Frame) -> str | bytes | None:
        """Take a text, binary or continuation frame. Returns the message that it completes.

        Raises:
            UnicodeDecodeError: a text message is not UTF-8.
            TooManyParts: the message has too many parts.
        """
        data = bytes(frame.data)
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        elif len(self.parts) >= _PARTS:
            raise TooManyParts
        if self.parts or not frame.fin:
            self.parts.append(data)
            if not frame.fin:
                return None
            data, self.parts = b"".join(self.parts), []
        return data.decode() if self._is_text else data
