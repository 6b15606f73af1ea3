"""A room as plain data: what of it is saved, and how it is put together again."""

from typing import Any

import msgspec
from msgspec import Struct

from dedicated_server_stub.game import World
from dedicated_server_stub.rooms.acknowledged import Acknowledged
from dedicated_server_stub.rooms.messages import Ended, Notice, Said, Tagged
from dedicated_server_stub.rooms.methods import Answered
from dedicated_server_stub.rooms.room import Member, Room

# A room may have sent acknowledged messages after its snapshot, where Redis was away or only a cold one is left. Ids
# go on far above theirs: a client must never take a new message for one that it has seen.
ID_GAP = 100_000


class InvalidSnapshot(Exception):
    """What was stored is no snapshot of this version's rooms; the text says why."""


class MemberSnapshot(Struct):
    """A player who is in the room, and the messages that it has not acknowledged."""

    player_id: str
    open: list[Tagged | Ended | Notice]


class RoomSnapshot(Struct):
    """A room between two ticks."""

    world: World
    members: list[MemberSnapshot]
    gone: list[str]
    chat: list[Said]
    answered: dict[str, Answered]
    last_id: int


_decoder = msgspec.json.Decoder(RoomSnapshot)


def capture(room: Room) -> str:
    """Save a room, as text. Messages that wait for this snapshot are in it, as if they were sent."""
    held = [held.message for held in room.held if held.message is not None]
    snapshot = RoomSnapshot(
        world=room.world,
        members=[
            MemberSnapshot(player_id, [*member.acknowledged.open(), *held])
            for player_id, member in room.members.items()
        ],
        gone=sorted(room.gone),
        chat=list(room.chat),
        answered=room.calls.answered,
        last_id=room.last_id,
    )
    return msgspec.json.encode(snapshot).decode()


def decode(text: str) -> RoomSnapshot:
    """Read what `capture` has written.

    Raises:
        InvalidSnapshot: it is not of this form.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidSnapshot(str(error)) from None


def restore(room: Room, snapshot: RoomSnapshot, *, now: float, settings: Any) -> None:
    """Fill a new room, made with the snapshot's world. All its players are expected back, from now on.

    Args:
        room: the new one; it does not run yet.
        snapshot: of the old one.
        now: a time of the room's clock.
        settings: of the room.
    """
    room.gone.update(snapshot.gone)
    room.chat.extend(snapshot.chat)
    room.calls.answered.update(snapshot.answered)
    room.last_id = snapshot.last_id + ID_GAP
    for saved in snapshot.members:
        acknowledged = Acknowledged(attempts=settings.ack_attempts)
        for message in saved.open:
            acknowledged.add(message, now)
        room.members[saved.player_id] = Member(
            player=snapshot.world.players[saved.player_id],
            connection=None,
            acknowledged=acknowledged,
            state_tick=snapshot.world.tick,
            lost_at=now,
        )
