import json
from typing import Any

from dedicated_server_stub.rooms import MAX_WAITING_FRAMES, Rooms, Seat
from dedicated_server_stub.sessions import Session
from match_server.protocol import CloseCode

DUEL = Session(key="key", session_id="s-1", game_mode="duel", players=("ann", "bob"), ends_at=None)


def frames(seat: Seat) -> list[dict[str, Any]]:
    """Take what waits for a player."""
    waiting = [json.loads(frame) for frame in seat.frames]
    seat.frames.clear()
    return waiting


def test_joining_greets_the_player_and_tells_the_others() -> None:
    rooms = Rooms()
    ann = rooms.enter(DUEL, "ann")
    bob = rooms.enter(DUEL, "bob")

    assert frames(ann) == [
        {"type": "welcome", "session_id": "s-1", "players": ["ann", "bob"], "present": ["ann"]},
        {"type": "joined", "player_id": "bob"},
    ]
    assert frames(bob) == [
        {"type": "welcome", "session_id": "s-1", "players": ["ann", "bob"], "present": ["ann", "bob"]},
    ]


def test_what_one_says_everybody_hears() -> None:
    rooms = Rooms()
    seats = [rooms.enter(DUEL, "ann"), rooms.enter(DUEL, "bob")]
    for seat in seats:
        seat.frames.clear()

    rooms.say("s-1", seats[0], "hello")

    for seat in seats:
        assert frames(seat) == [{"type": "message", "from": "ann", "text": "hello"}]


def test_leaving_tells_the_others_and_says_who_was_last() -> None:
    rooms = Rooms()
    ann, bob = rooms.enter(DUEL, "ann"), rooms.enter(DUEL, "bob")
    bob.frames.clear()

    assert not rooms.leave("s-1", ann)
    assert frames(bob) == [{"type": "left", "player_id": "ann"}]
    assert rooms.present("s-1") == ["bob"]
    assert rooms.leave("s-1", bob)
    assert rooms.present("s-1") == []


def test_a_newer_connection_replaces_the_older_without_a_word_to_the_others() -> None:
    rooms = Rooms()
    older, bob = rooms.enter(DUEL, "ann"), rooms.enter(DUEL, "bob")
    bob.frames.clear()

    newer = rooms.enter(DUEL, "ann")

    assert older.close_code is CloseCode.TAKEN_OVER
    assert not rooms.leave("s-1", older)
    rooms.say("s-1", older, "a word from the past")
    assert frames(bob) == []
    assert rooms.present("s-1") == ["ann", "bob"]
    assert newer.close_code is None


def test_the_end_is_the_last_thing_a_player_hears() -> None:
    rooms = Rooms()
    ann = rooms.enter(DUEL, "ann")
    ann.frames.clear()

    rooms.end("s-1")
    rooms.say("s-1", ann, "too late")

    assert frames(ann) == [{"type": "ended"}]
    assert ann.close_code is CloseCode.NORMAL
    assert not rooms.leave("s-1", ann)
    rooms.end("s-1")


def test_a_player_who_does_not_read_is_cut_off() -> None:
    rooms = Rooms()
    slow, bob = rooms.enter(DUEL, "ann"), rooms.enter(DUEL, "bob")

    for number in range(MAX_WAITING_FRAMES):
        rooms.say("s-1", bob, str(number))
        bob.frames.clear()

    assert slow.close_code is CloseCode.TOO_SLOW
    assert not slow.frames
    assert bob.close_code is None
