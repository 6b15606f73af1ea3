"""`room.v1.protobuf`, by the schema that the server publishes: `room.proto`, with lengths and angles in thousandths."""

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from dedicated_server_stub import room_pb2 as pb

Said: TypeAlias = dict[str, Any]

_SCALE = 1000
_SCALED = frozenset({"x", "y", "z", "yaw"})


class ProtobufFrames:
    """Binary frames, as the objects of the JSON form."""

    subprotocol = "room.v1.protobuf"

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}  # by number, of the players who were told in full

    def write(self, message: Said) -> bytes:
        """Write a `ClientMessage`."""
        envelope = pb.ClientMessage()
        sent = getattr(envelope, message["type"])
        sent.SetInParent()
        for name, value in message.items():
            if name != "type":
                setattr(sent, name, round(value * _SCALE) if name in _SCALED else value)
        return envelope.SerializeToString()

    def read(self, frame: str | bytes) -> Said:
        """Read a `ServerMessage`."""
        if isinstance(frame, str):
            return {}
        try:
            envelope = pb.ServerMessage.FromString(frame)
        except DecodeError:
            return {}
        kind = envelope.WhichOneof("message")
        if kind is None:
            return {}
        message = {"type": kind, **_plain(getattr(envelope, kind))}
        if kind in {"welcome", "state"}:
            self._ids.update({one["number"]: one["player_id"] for one in message["players"] if "number" in one})
        if kind == "state":
            changed = [one for changes in message.pop("changes") for one in self._changed(changes)]
            message["players"] = [*message["players"], *changed]
        return message

    def _changed(self, changes: Said) -> Iterator[Said]:
        """The players of one table of changes, each as in JSON."""
        columns = {name: column for name, column in changes.items() if name != "number" and column}
        for index, number in enumerate(changes["number"]):
            yield {"player_id": self._ids[number], **{name: column[index] for name, column in columns.items()}}


def _plain(message: Message) -> Said:
    """The fields of a message. One that stands for nothing when it is not set has its default, as in JSON."""
    values = {field.name: _value(field, value) for field, value in message.ListFields()}
    return {**_defaults(message.DESCRIPTOR), **values}


@cache
def _defaults(kind: Descriptor) -> Said:
    return {field.name: _empty(field) for field in kind.fields if not field.has_presence}


def _empty(field: FieldDescriptor) -> Any:
    if field.name in {"bounds", "scores"}:
        return {}
    return () if field.is_repeated else field.default_value


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.name in _SCALED:
        return [each / _SCALE for each in value] if field.is_repeated else value / _SCALE
    if field.name == "bounds":
        return {axis: (limits.min / _SCALE, limits.max / _SCALE) for axis, limits in value.items()}
    if field.name == "scores":
        return dict(value)
    if field.name == "result":
        return MessageToDict(value)
    if field.is_repeated:
        return [_plain(each) if isinstance(each, Message) else each for each in value]
    return value
