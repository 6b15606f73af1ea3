"""The binary form of the messages: `room.proto`, with lengths and angles in whole thousandths."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from msgspec import UNSET

from dedicated_server_stub import room_pb2 as pb
from dedicated_server_stub.game import SCALE
from dedicated_server_stub.rooms import messages
from dedicated_server_stub.rooms.messages import ClientMessage, PlayerState, ServerMessage

_SCALED = ("x", "y", "z", "yaw")
_COLUMNS = (*_SCALED, "score", "seq")
NOBODY: Mapping[str, int] = MappingProxyType({})


def decode(frame: bytes) -> ClientMessage:
    """Read a client's frame; it is held to the same limits as JSON.

    Raises:
        ValueError: it is not of the protocol.
    """
    try:
        envelope = pb.ClientMessage.FromString(frame)
    except DecodeError:
        raise ValueError("not a protobuf ClientMessage") from None
    kind = envelope.WhichOneof("message")
    if kind is None:
        raise ValueError("a ClientMessage without a message")
    sent = getattr(envelope, kind)
    fields: dict[str, Any] = {"type": kind}
    for descriptor in sent.DESCRIPTOR.fields:
        value = getattr(sent, descriptor.name)
        fields[descriptor.name] = value / SCALE if descriptor.name in _SCALED else value
    message: ClientMessage = msgspec.convert(fields, ClientMessage)
    return message


def encode(message: ServerMessage, numbers: Mapping[str, int] = NOBODY, /) -> bytes:
    """Write a frame for a client.

    Args:
        message: what to say.
        numbers: of the players whom the client has been told in full, so that a number stands for the id.
    """
    envelope = pb.ServerMessage()
    if isinstance(message, messages.State):
        _state(envelope, message, numbers)
    else:
        _FILL[type(message)](envelope, message)
    return envelope.SerializeToString()


def _welcome(envelope: pb.ServerMessage, message: messages.Welcome) -> None:
    target = envelope.welcome
    target.session_id = message.session_id
    target.player_id = message.player_id
    target.tick = message.tick
    target.tick_hz = message.tick_hz
    target.speed = message.speed
    for axis, (low, high) in message.bounds.items():
        target.bounds[axis].min = round(low * SCALE)
        target.bounds[axis].max = round(high * SCALE)
    for player in message.players:
        _player(target.players.add(), player)
    for said in message.chat:
        target.chat.add(player_id=said.player_id, text=said.text, tick=said.tick)


def _state(envelope: pb.ServerMessage, message: messages.State, numbers: Mapping[str, int]) -> None:
    target = envelope.state
    target.tick = message.tick
    target.full = message.full
    target.out_of_sight.extend(message.out_of_sight)
    alike: dict[tuple[str, ...], list[PlayerState]] = {}  # players by the fields that have changed
    for player in message.players:
        if player.number is UNSET and player.team is UNSET and player.player_id in numbers:
            changed = tuple(name for name in _COLUMNS if getattr(player, name) is not UNSET)
            alike.setdefault(changed, []).append(player)
        else:
            _player(target.players.add(), player)
    for names, players in alike.items():
        changes = target.changes.add()
        changes.number.extend(numbers[player.player_id] for player in players)
        for name in names:
            values = [getattr(player, name) for player in players]
            column = [round(value * SCALE) for value in values] if name in _SCALED else values
            getattr(changes, name).extend(column)


def _player(target: pb.PlayerState, player: PlayerState) -> None:
    target.player_id = player.player_id
    if player.x is not UNSET:
        target.x = round(player.x * SCALE)
    if player.y is not UNSET:
        target.y = round(player.y * SCALE)
    if player.z is not UNSET:
        target.z = round(player.z * SCALE)
    if player.yaw is not UNSET:
        target.yaw = round(player.yaw * SCALE)
    if player.score is not UNSET:
        target.score = player.score
    if player.seq is not UNSET:
        target.seq = player.seq
    if player.team is not UNSET:
        target.team = player.team
    if player.number is not UNSET:
        target.number = player.number


def _player_joined(envelope: pb.ServerMessage, message: messages.PlayerJoined) -> None:
    envelope.player_joined.player_id = message.player_id
    envelope.player_joined.rejoining = message.rejoining


def _player_left(envelope: pb.ServerMessage, message: messages.PlayerLeft) -> None:
    envelope.player_left.player_id = message.player_id
    envelope.player_left.rejoining = message.rejoining


def _chat(envelope: pb.ServerMessage, message: messages.Told) -> None:
    target = envelope.chat
    target.player_id, target.text, target.tick = message.player_id, message.text, message.tick


def _tagged(envelope: pb.ServerMessage, message: messages.Tagged) -> None:
    target = envelope.tagged
    target.id, target.by, target.player_id = message.id, message.by, message.player_id
    target.scores.update(message.scores)


def _rejected(envelope: pb.ServerMessage, message: messages.Rejected) -> None:
    target = envelope.rejected
    target.seq, target.reason = message.seq, message.reason
    for axis in _SCALED:
        setattr(target, axis, round(getattr(message, axis) * SCALE))


def _ended(envelope: pb.ServerMessage, message: messages.Ended) -> None:
    envelope.ended.id = message.id
    envelope.ended.result.update(message.result)


def _notice(envelope: pb.ServerMessage, message: messages.Notice) -> None:
    envelope.notice.id, envelope.notice.text = message.id, message.text


def _error(envelope: pb.ServerMessage, message: messages.Error) -> None:
    target = envelope.error
    target.code, target.message = message.code, message.message
    if message.retry_after_seconds is not UNSET:
        target.retry_after_seconds = message.retry_after_seconds


def _pong(envelope: pb.ServerMessage, _message: messages.Pong) -> None:
    envelope.pong.SetInParent()


_FILL: dict[type[ServerMessage], Callable[[pb.ServerMessage, Any], None]] = {
    messages.Welcome: _welcome,
    messages.PlayerJoined: _player_joined,
    messages.PlayerLeft: _player_left,
    messages.Told: _chat,
    messages.Tagged: _tagged,
    messages.Rejected: _rejected,
    messages.Ended: _ended,
    messages.Notice: _notice,
    messages.Error: _error,
    messages.Pong: _pong,
}
