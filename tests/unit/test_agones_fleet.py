"""What an Agones fleet is seen to run and to have room for, and how a stray is taken off its game server."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from match_server.servers.provider import FleetLook, FleetUnavailable
from tests.shared.fake_agones import FakeAgones, FleetSize, session_ids
from tests.unit.agones_calls import DUEL, OWNER, ROOMS, fleet_of

OURS = {"match-server/owner": OWNER}


def session(fleet: object = DUEL) -> tuple[str, dict[str, str]]:
    """A new session, and the labels of the game server that runs it."""
    session_id = str(uuid.uuid4())
    own = {"match-server/session": session_id} if fleet is DUEL else {f"session.match-server/{session_id}": "1"}
    return session_id, OURS | own


def names(look: FleetLook) -> dict[str, list[str]]:
    return {session_id: [holder.name for holder in holders] for session_id, holders in look.holders.items()}


def test_only_sessions_that_go_on_are_seen_on_however_many_pages(tmp_path: Path) -> None:
    async def scene() -> None:
        fake = FakeAgones({"duel": FleetSize(8), "rooms": FleetSize(1, "rooms", capacity=3)}, page_size=2)
        ids = dict(zip(sorted(n for n in fake.game_servers if n.startswith("duel")), range(8), strict=True))
        expected = {}
        for name, number in ids.items():
            session_id, labels = session()
            state = ["Allocated", "Shutdown", "Ready"][number % 3]
            fake.change(name, state=state, labels=labels)
            if state == "Allocated":
                expected[session_id] = [name]
        ended, labels = session()
        fake.change("duel-00001", labels=labels)  # it plays again: the session before is over
        expected = {ended if held == ["duel-00001"] else key: held for key, held in expected.items()}
        fake.game_servers["duel-00004"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        expected = {key: held for key, held in expected.items() if held != ["duel-00004"]}
        async with fake, fleet_of(fake, tmp_path) as fleet:
            look = await fleet.look()
            assert names(look) == expected
            assert look.free == 2

    asyncio.run(scene())


def test_a_label_that_is_no_session_is_none(tmp_path: Path) -> None:
    async def scene() -> None:
        fake = FakeAgones({"duel": FleetSize(1)})
        fake.change("duel-00001", labels=OURS | {"match-server/session": "not-one"})
        async with fake, fleet_of(fake, tmp_path) as fleet:
            assert (await fleet.look()).holders == {}

    asyncio.run(scene())


def test_dense_game_servers_have_the_room_that_their_counters_leave(tmp_path: Path) -> None:
    async def scene() -> None:
        fake = FakeAgones({"rooms": FleetSize(2, "rooms", capacity=3)})
        one, other = session(ROOMS), session(ROOMS)
        fake.change("rooms-00001", labels=one[1] | other[1])
        fake.game_servers["rooms-00001"]["status"]["counters"]["rooms"]["count"] = 2
        async with fake, fleet_of(fake, tmp_path, ROOMS) as fleet:
            look = await fleet.look()
            assert look.free == 4
            assert names(look) == {one[0]: ["rooms-00001"], other[0]: ["rooms-00001"]}
            (holder,) = look.holders[one[0]]
            assert await fleet.free(holder, [one[0]])
            server = fake.game_servers["rooms-00001"]
            assert session_ids(server) == [other[0]]
            assert server["status"]["counters"]["rooms"]["count"] == 1
            assert not await fleet.free(holder, [other[0]]), "it is not as it was when it was looked at"
            assert session_ids(fake.game_servers["rooms-00001"]) == [other[0]]

    asyncio.run(scene())


def test_a_stray_that_has_changed_since_the_look_is_left_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        fake = FakeAgones({"duel": FleetSize(2)})
        for name in list(fake.game_servers):
            fake.change(name, labels=session()[1])
        async with fake, fleet_of(fake, tmp_path) as fleet:
            stays, goes = [(held[0], key) for key, held in (await fleet.look()).holders.items()]
            fake.change(stays[0].name, labels=session()[1])  # it has just gone to another session
            assert not await fleet.free(stays[0], [stays[1]])
            assert await fleet.free(goes[0], [goes[1]])
            assert not await fleet.free(goes[0], [goes[1]]), "it is gone"
            assert fake.deleted == [goes[0].name]

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("fault", "said"),
    [("forbidden", "403"), ("broken", "etcdserver"), ("cut", "cannot be reached"), ("garbage", "unreadable answer")],
)
def test_what_cannot_be_seen_is_said_in_words(tmp_path: Path, fault: str, said: str) -> None:
    async def scene() -> None:
        fake = FakeAgones({"duel": FleetSize(1)}, lambda call: fault)
        async with fake, fleet_of(fake, tmp_path) as fleet:
            with pytest.raises(FleetUnavailable, match=said):
                await fleet.look()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"fleet": "no-such"}, "not found"), ({"fleet": "duel", "counter": "rooms"}, "has no counter rooms")],
)
def test_a_fleet_that_is_not_as_the_file_says_is_said_in_words(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    async def scene() -> None:
        fake = FakeAgones({"duel": FleetSize(1)})
        async with fake, fleet_of(fake, tmp_path, DUEL.model_copy(update=changes)) as fleet:
            with pytest.raises(FleetUnavailable, match=said):
                await fleet.look()

    asyncio.run(scene())


def test_a_token_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    async def scene() -> None:
        fake = FakeAgones({"duel": FleetSize(1)})
        async with fake, fleet_of(fake, tmp_path) as fleet:
            (tmp_path / "token").write_text("secret\nsecond")
            with pytest.raises(FleetUnavailable, match="expected one token") as refused:
                await fleet.look()
            assert "secret" not in str(refused.value)

    asyncio.run(scene())
