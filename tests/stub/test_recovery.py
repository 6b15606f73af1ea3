"""Snapshots of rooms: what is in them, when they are written, and what comes back from them."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dedicated_server_stub.presence.interface import PresenceUnavailable, Write
from dedicated_server_stub.presence.memory import MemoryPresence
from dedicated_server_stub.recovery.cold_store import ColdStore
from dedicated_server_stub.recovery.cold_writer import ColdWriter
from dedicated_server_stub.recovery.folder_store import FolderStore
from dedicated_server_stub.recovery.keeper import Keepers, RoomKeeper
from dedicated_server_stub.recovery.leases import HotSnapshots
from dedicated_server_stub.recovery.recover import Recovery
from dedicated_server_stub.recovery.snapshot import ID_GAP, capture, decode
from dedicated_server_stub.rooms.commands import Called, Joined, Outcome, Received
from dedicated_server_stub.rooms.connection import Connection
from dedicated_server_stub.rooms.frames import JSON
from dedicated_server_stub.rooms.messages import Chat, Leave, Tag
from dedicated_server_stub.rooms.registry import Rooms
from dedicated_server_stub.rooms.room import Room, RoomSettings
from tests.stub.test_room import move, room_of, taken

SESSION = "s-1"


class SlowPresence(MemoryPresence):
    """Stores only when it is let."""

    def __init__(self) -> None:
        super().__init__(clock=time.monotonic)
        self.let = asyncio.Semaphore(0)
        self.failing = False

    async def hold(self, lease: str, owner: str, *, seconds: float, write: Write | None = None) -> bool:
        await self.let.acquire()
        if self.failing:
            raise PresenceUnavailable("on purpose")
        return await super().hold(lease, owner, seconds=seconds, write=write)


def hot_in(presence: MemoryPresence, owner: str = "p-1") -> HotSnapshots:
    return HotSnapshots(presence, owner=owner, snapshot_seconds=1, rejoin_seconds=30)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), timeout=30))


def notice(room: Room, call_id: str, answers: list[Outcome]) -> None:
    room.submit(
        Called(
            call_id=call_id,
            method="notice",
            args={"text": call_id},
            expires_at=time.time() + 3600,
            answer=answers.append,
        )
    )


def told(connection: Connection) -> list[int]:
    return [frame["id"] for frame in taken(connection) if frame["type"] in {"notice", "tagged"}]


async def settle() -> None:
    """Let the keeper come as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_players_were_told_is_in_the_snapshot() -> None:
    """At any moment a crash would find all of it: whatever the order of ticks, calls and writes."""

    async def scenario(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - repeatable by design
        presence = SlowPresence()
        room, (ann, _) = room_of("ann", "bob")
        room.keeper = keeper = RoomKeeper(
            room,
            hot_in(presence),
            None,
            seconds=1,
            clock=lambda: 0.0,
            on_kept=lambda _: None,
            on_displaced=lambda _: None,
        )
        writing = asyncio.create_task(keeper.run())
        answers: list[Outcome] = []
        heard: list[int] = []
        for step in range(100):
            match chance.randrange(4):
                case 0:
                    notice(room, f"call-{step}", answers)
                case 1:
                    presence.let.release()
                    await settle()
                case _:
                    room.tick()
            heard += told(ann)
            stored = await presence.get(f"snapshot:{SESSION}")
            if heard or answers:
                assert stored is not None
                snapshot = decode(stored)
                assert max(heard, default=0) <= snapshot.last_id
                assert len(answers) <= len(snapshot.answered)
        for _ in range(100):
            presence.let.release()
        for _ in range(2):  # the last calls are carried out, then what they have to say is stored
            room.tick()
            await settle()
        room.tick()
        heard += told(ann)
        assert len(heard) == len(set(heard)) == len(answers) == room.last_id
        writing.cancel()

    for seed in range(20):
        run(lambda seed=seed: scenario(seed))  # type: ignore[misc]  # mypy knows no types of lambda's defaults


def test_a_snapshot_is_taken_every_period_and_for_what_must_arrive() -> None:
    async def scenario() -> None:
        presence = MemoryPresence(clock=time.monotonic)
        room, _ = room_of("ann", "bob")
        now = 100.0
        room.keeper = keeper = RoomKeeper(
            room,
            hot_in(presence),
            None,
            seconds=1,
            clock=lambda: now,
            on_kept=lambda _: None,
            on_displaced=lambda _: None,
        )
        writing = asyncio.create_task(keeper.run())

        async def tick_of_snapshot_after(seconds: float) -> int:
            nonlocal now
            now += seconds
            room.tick()
            await settle()
            return decode(await presence.get(f"snapshot:{SESSION}") or "").world.tick

        first = await tick_of_snapshot_after(0)
        assert first == room.world.tick
        assert await tick_of_snapshot_after(0.5) == first
        assert await tick_of_snapshot_after(0.5) == first + 2
        notice(room, "now", [])
        assert await tick_of_snapshot_after(0.1) == first + 3
        assert await tick_of_snapshot_after(0.1) == first + 3
        writing.cancel()

    run(scenario)


def test_a_tick_waits_for_no_store() -> None:
    async def scenario() -> None:
        presence = SlowPresence()
        room, (ann, bob) = room_of("ann", "bob")
        room.keeper = keeper = RoomKeeper(
            room,
            hot_in(presence),
            None,
            seconds=1,
            clock=lambda: 0.0,
            on_kept=lambda _: None,
            on_displaced=lambda _: None,
        )
        writing = asyncio.create_task(keeper.run())
        notice(room, "held", [])
        for seq in (1, 2, 3):
            move(room, ann, seq=seq, x=0.01)
            room.tick()
            await settle()
            assert [frame["type"] for frame in taken(bob)] == ["state"]
        writing.cancel()

    run(scenario)


def test_where_the_store_fails_messages_go_out_all_the_same() -> None:
    async def scenario() -> None:
        presence = SlowPresence()
        presence.failing = True
        room, (_, bob) = room_of("ann", "bob")
        room.keeper = keeper = RoomKeeper(
            room,
            hot_in(presence),
            None,
            seconds=1,
            clock=lambda: 0.0,
            on_kept=lambda _: None,
            on_displaced=lambda _: None,
        )
        writing = asyncio.create_task(keeper.run())
        notice(room, "first", [])
        room.tick()
        presence.let.release()
        await settle()
        room.tick()
        assert told(bob) == [1]
        notice(room, "second", [])
        room.tick()
        room.tick()  # nothing waits for a store that is known to fail
        assert told(bob) == [2]
        writing.cancel()

    run(scenario)


def played_room() -> Room:
    """Ann has tagged bob and acknowledged nothing; cid has left."""
    room, (ann, bob, cid) = room_of("ann", "bob", "cid")
    room.submit(Received(ann, Tag(1, "bob")))
    room.submit(Received(bob, Chat("ouch")))
    room.submit(Received(cid, Leave()))
    notice(room, "call", [])
    room.tick()
    return room


async def recovered(presence: MemoryPresence, cold: ColdStore | None = None) -> tuple[bool, Rooms]:
    rooms = Rooms(RoomSettings(tick_hz=100))
    return await Recovery(hot_in(presence, "p-2"), cold, rooms).recover(SESSION), rooms


def test_a_recovered_room_is_the_same_and_its_players_come_back() -> None:
    async def scenario() -> None:
        old = played_room()
        presence = MemoryPresence(clock=time.monotonic)
        await hot_in(presence, "p-2").write(SESSION, capture(old))
        found, rooms = await recovered(presence)
        room = rooms.get(SESSION)
        assert found
        assert room is not None
        assert room.world == old.world
        assert room.chat == old.chat
        assert room.has_left("cid")
        assert room.present() == []
        assert room.is_member("ann")
        ann = Connection("ann", team=None, form=JSON)
        room.submit(Joined(ann))
        answers: list[Outcome] = []
        notice(room, "call", answers)  # a repeat of what the old room did
        room.tick()
        frames = taken(ann)
        assert frames[0]["type"] == "welcome"
        assert {player["player_id"]: player["score"] for player in frames[0]["players"]} == {"ann": 1, "bob": 0}
        assert [frame["id"] for frame in frames if "id" in frame] == [1, 2]  # `tagged` and the notice, once more
        assert answers == [Outcome()]
        room.submit(Received(ann, Chat("new")))
        notice(room, "another", answers)
        room.tick()
        assert told(ann) == [2 + ID_GAP + 1]
        room.end()
        await rooms.close(0)

    run(scenario)


def test_a_room_has_one_process_at_a_time() -> None:
    async def scenario() -> None:
        presence = MemoryPresence(clock=time.monotonic)
        room, _ = room_of("ann")
        displaced: list[str] = []
        assert await hot_in(presence, "other").write(SESSION, "theirs")
        room.keeper = keeper = RoomKeeper(
            room,
            hot_in(presence),
            None,
            seconds=1,
            clock=lambda: 0.0,
            on_kept=lambda _: None,
            on_displaced=displaced.append,
        )
        room.tick()
        await keeper.run()
        assert displaced == [SESSION]
        assert await presence.get(f"snapshot:{SESSION}") == "theirs"

    run(scenario)


def test_a_lease_that_stays_taken_keeps_the_room_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("dedicated_server_stub.recovery.leases._SHORTEST_LEASE_SECONDS", 0.05)
        presence = MemoryPresence(clock=time.monotonic)
        await hot_in(presence, "p-2").write(SESSION, capture(played_room()))
        await presence.set(f"lease:{SESSION}", "other", seconds=3600)
        hot = HotSnapshots(presence, owner="p-3", snapshot_seconds=0.01, rejoin_seconds=30)
        assert not await Recovery(hot, None, Rooms(RoomSettings())).recover(SESSION)

    run(scenario)


@pytest.mark.parametrize("hot", [None, "not a snapshot", '{"world": {}}'])
def test_without_a_hot_snapshot_the_cold_one_is_taken(hot: str | None, tmp_path: Path) -> None:
    async def scenario() -> None:
        old, cold = played_room(), FolderStore(tmp_path / "cold")
        await cold.open()
        presence = MemoryPresence(clock=time.monotonic)
        if hot is not None:
            await hot_in(presence, "p-2").write(SESSION, hot)
        assert not (await recovered(presence, cold))[0]
        await cold.write(SESSION, capture(old))
        found, rooms = await recovered(presence, cold)
        assert found
        (room,) = rooms
        assert room.world.scores() == old.world.scores()
        rooms.end(SESSION)
        await rooms.close(0)

    run(scenario)


def test_a_room_that_runs_is_kept_hot_and_cold_and_forgotten_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("dedicated_server_stub.recovery.keeper.COLD_SECONDS", 0.01)
        presence, cold = MemoryPresence(clock=time.monotonic), FolderStore(tmp_path)
        writer = ColdWriter(cold)
        kept: list[str] = []
        keepers = Keepers(hot_in(presence), writer, seconds=0.01, on_kept=kept.append, on_displaced=lambda _: None)
        rooms = Rooms(RoomSettings(tick_hz=100), watchers=[keepers])
        forgetting = asyncio.create_task(writer.run())
        rooms.open(SESSION)
        while not await presence.get(f"snapshot:{SESSION}") or await cold.read(SESSION) is None:  # noqa: ASYNC110 - threads
            await asyncio.sleep(0.01)
        rooms.end(SESSION)
        await rooms.close(5)
        assert kept == [SESSION]
        while await cold.read(SESSION) is not None:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.01)
        forgetting.cancel()

    run(scenario)
