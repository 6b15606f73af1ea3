"""Frames: messages to bytes or text and back, by the subprotocol that a client has chosen."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from dedicated_server_stub.rooms import protobuf
from dedicated_server_stub.rooms.messages import ClientMessage, ServerMessage

JSON = "room.v1.json"
PROTOBUF = "room.v1.protobuf"

Frame: TypeAlias = str | bytes

_from_json: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_to_json = msgspec.json.Encoder()


class InvalidFrame(Exception):
    """A frame is no message of a client; the text says what is wrong."""


class Encode(Protocol):
    """Writes a frame for a client."""

    def __call__(self, message: ServerMessage, numbers: Mapping[str, int] = protobuf.NOBODY, /) -> Frame:
        """`numbers` are those of players whom the client has been told in full."""


def _encode_json(message: ServerMessage, _numbers: Mapping[str, int] = protobuf.NOBODY, /) -> str:
    return _to_json.encode(message).decode()


ENCODERS: dict[str, Encode] = {JSON: _encode_json, PROTOBUF: protobuf.encode}


def choose(offered: Sequence[str]) -> str | None:
    """The first subprotocol that both sides know; None when there is none, and frames are JSON."""
    return next((name for name in offered if name in ENCODERS), None)


def decode(frame: Frame) -> ClientMessage:
    """Read a client's frame: text is JSON and bytes are protobuf, whatever the subprotocol.

    Raises:
        InvalidFrame: it is not of the protocol.
    """
    try:
        if isinstance(frame, bytes):
            return protobuf.decode(frame)
        return _from_json.decode(frame)
    except (ValueError, RecursionError) as error:  # msgspec raises ValueErrors
        raise InvalidFrame(str(error)) from None
