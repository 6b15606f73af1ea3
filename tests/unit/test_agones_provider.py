"""Allocation from Agones fleets over a real socket: what is asked, what is made of answers, and what of none."""

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from match_server.servers.provider import CALLS_TO_A_FLEET, Created, NotCreated, Order, Provisioned
from tests.shared.fake_agones import FLEET_LABEL, TOKEN, FakeAgones, Faults, FleetSize, session_ids
from tests.shared.fake_server import Call
from tests.unit.agones_calls import DUEL, ROOMS, order, provider_for


def agones(duel: int = 3, rooms: int = 2, *, faults: Faults = lambda call: None) -> FakeAgones:
    return FakeAgones({"duel": FleetSize(duel), "rooms": FleetSize(rooms, "rooms", capacity=3)}, faults)


def first(fault: str, *, times: int = 1, method: str = "POST") -> Faults:
    """This fault of the first calls of a method, and then none."""
    faults: Iterator[str] = iter([fault] * times)
    return lambda call: next(faults, None) if call.method == method else None


def create(fake: FakeAgones, folder: Path, orders: list[Order], *, timeout_seconds: float = 5.0) -> list[Provisioned]:
    async def scenario() -> list[Provisioned]:
        async with fake, provider_for(fake, folder, timeout_seconds=timeout_seconds) as provider:
            return [outcome for one in orders for outcome in await provider.create([one])]

    return asyncio.run(scenario())


def test_a_session_gets_a_game_server_that_knows_of_it(tmp_path: Path) -> None:
    fake, one = agones(), order(settled={"teams": [["ann"], ["bob"]]})
    (made,) = create(fake, tmp_path, [one])
    (name,) = fake.allocated()
    assert made == Created(one.loading_session_id, fake.address(name))
    metadata = fake.game_servers[name]["metadata"]
    assert metadata["labels"]["match-server/session"] == one.loading_session_id
    assert json.loads(metadata["annotations"]["match-server/session"]) == {
        "session_id": one.loading_session_id,
        "server_id": "agones-duel",
        "game_mode": "Normal_1v1",
        "players": ["ann", "bob"],
        "teams": [["ann"], ["bob"]],
    }


def test_the_first_port_is_taken_where_none_is_named_and_ipv6_gets_its_brackets(tmp_path: Path) -> None:
    fake = agones(1)
    (server,) = fake.of_fleet("duel")
    server["status"]["address"] = "2001:db8::7"

    async def scenario() -> None:
        async with fake, provider_for(fake, tmp_path, DUEL.model_copy(update={"port": ""})) as provider:
            (made,) = await provider.create([order()])
            assert isinstance(made, Created)
            assert made.server_address == "[2001:db8::7]:1000"

    asyncio.run(scenario())


HARMLESS = ["conflict", "contention", "busy"]  # nothing has happened, and the answer says so
UNSURE = ["broken", "cut", "lost", "garbage", "broken_after"]


@pytest.mark.parametrize("fault", HARMLESS + UNSURE)
@pytest.mark.parametrize("fleet", [DUEL, ROOMS], ids=["single", "dense"])
def test_one_game_server_is_allocated_whatever_goes_wrong_on_the_way(tmp_path: Path, fault: str, fleet: object) -> None:
    fake, one = agones(faults=first(fault, times=2)), order(DUEL if fleet is DUEL else ROOMS)
    (made,) = create(fake, tmp_path, [one])
    (name,) = fake.allocated()
    assert made == Created(one.loading_session_id, fake.address(name))
    assert fake.allocations.total() == 1
    assert any(call.method == "GET" for call in fake.calls) == (fault in UNSURE), "it looks the label up when unsure"
    if fleet is ROOMS:
        assert fake.game_servers[name]["status"]["counters"]["rooms"]["count"] == 1


@pytest.mark.parametrize("fleet", [DUEL, ROOMS], ids=["single", "dense"])
def test_an_allocation_that_hangs_is_unknown_and_found_by_the_next_call(tmp_path: Path, fleet: object) -> None:
    fake, one = agones(faults=first("hang")), order(DUEL if fleet is DUEL else ROOMS)
    lost, found = create(fake, tmp_path, [one, one], timeout_seconds=2)
    assert isinstance(lost, NotCreated)
    assert lost.outcome == "unknown"
    assert found == Created(one.loading_session_id, fake.address(*fake.allocated()))
    assert fake.allocations.total() == 1


def test_while_the_lookup_fails_nothing_is_allocated_again(tmp_path: Path) -> None:
    def faults(call: Call) -> str | None:
        return "broken" if call.method == "GET" else "lost"

    fake = agones(faults=faults)
    (outcome,) = create(fake, tmp_path, [order()], timeout_seconds=0.5)
    assert isinstance(outcome, NotCreated)
    assert outcome.outcome == "unknown"
    assert sum(call.method == "POST" for call in fake.calls) == 1


def test_another_node_that_takes_the_order_over_gets_the_same_game_server(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agones() as fake, provider_for(fake, tmp_path) as one, provider_for(fake, tmp_path) as other:
            same = order()
            assert await one.create([same]) == await other.create([same])
            assert len(fake.allocated()) == 1

    asyncio.run(scenario())


def test_an_empty_fleet_is_full_and_no_match_is_to_blame(tmp_path: Path) -> None:
    made, full = create(agones(1), tmp_path, [order(), order()])
    assert isinstance(made, Created)
    assert full == NotCreated("full", "no game server of the fleet duel is free")


def test_dense_game_servers_fill_up_one_after_the_other(tmp_path: Path) -> None:
    fake, orders = agones(), [order(ROOMS) for _ in range(7)]
    *made, full = create(fake, tmp_path, orders)
    assert isinstance(full, NotCreated)
    assert full.outcome == "full"
    addresses = [one.server_address for one in made if isinstance(one, Created)]
    assert sorted(Counter(addresses).values()) == [3, 3]
    assert addresses[0] == addresses[1] == addresses[2], "the fullest that has room comes first"
    for name in fake.allocated():
        server = fake.game_servers[name]
        assert server["status"]["counters"]["rooms"]["count"] == len(session_ids(server)) == 3


def test_another_owners_dense_game_server_is_left_alone(tmp_path: Path) -> None:
    fake = agones(rooms=1)
    (server,) = fake.of_fleet("rooms")
    fake.change(server["metadata"]["name"], labels={"match-server/owner": "somebody-else"})
    (outcome,) = create(fake, tmp_path, [order(ROOMS)])
    assert isinstance(outcome, NotCreated)
    assert outcome.outcome == "full"


def test_a_missing_right_is_said_in_words_and_not_tried_again(tmp_path: Path) -> None:
    fake = agones(faults=lambda call: "forbidden")
    (outcome,) = create(fake, tmp_path, [order()])
    assert isinstance(outcome, NotCreated)
    assert outcome.outcome == "error"
    assert "403" in outcome.detail
    assert "is forbidden" in outcome.detail
    assert TOKEN not in outcome.detail
    assert len(fake.calls) == 1


def test_a_fleet_that_the_node_does_not_know_is_an_error(tmp_path: Path) -> None:
    (outcome,) = create(agones(), tmp_path, [order(server_id="agones-gone")])
    assert outcome == NotCreated("error", "MATCH_AGONES of this node has no fleet agones-gone")


def test_an_unreachable_api_leaves_it_unknown_and_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agones() as fake:
            pass
        async with provider_for(fake, tmp_path, timeout_seconds=2) as provider:
            (outcome,) = await provider.create([order()])
        assert isinstance(outcome, NotCreated)
        assert outcome.outcome == "unknown"
        assert "Connection refused" in outcome.detail

    asyncio.run(scenario())


def test_a_token_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agones() as fake, provider_for(fake, tmp_path) as provider:
            await provider.create([order()])
            fake.token = "the-next-token"
            (tmp_path / "token").write_text(fake.token)
            (made,) = await provider.create([order()])
            assert isinstance(made, Created)

    asyncio.run(scenario())


def test_an_order_for_a_server_that_registered_goes_there(tmp_path: Path) -> None:
    fake = agones()
    (outcome,) = create(fake, tmp_path, [order(endpoint="")])
    assert outcome == NotCreated("error", "the server is no longer registered")
    assert fake.calls == []


def test_of_1000_allocations_with_conflicts_and_lost_answers_none_is_double_and_none_leaks(tmp_path: Path) -> None:
    chance = random.Random(17)  # noqa: S311 - to be repeated

    def faults(call: Call) -> str | None:
        if call.method != "POST":
            return None
        drawn = chance.random()
        return "conflict" if drawn < 0.05 else "lost" if drawn < 0.06 else None

    async def scenario() -> None:
        fake = FakeAgones({"duel": FleetSize(1_000)}, faults)
        orders = [order(loading_session_id=str(uuid.UUID(int=number))) for number in range(1_000)]
        async with fake, provider_for(fake, tmp_path, timeout_seconds=30) as provider:
            free = asyncio.Semaphore(CALLS_TO_A_FLEET)

            async def allocate(one: Order) -> Provisioned:
                async with free:
                    return (await provider.create([one]))[0]

            made = await asyncio.gather(*(allocate(one) for one in orders))
        addresses = {one.server_address: one.session_id for one in made if isinstance(one, Created)}
        assert len(addresses) == len(orders), "each has its own"
        held = {fake.address(name): session_ids(fake.game_servers[name]) for name in fake.allocated()}
        assert held == {address: [session] for address, session in addresses.items()}
        assert fake.allocations.total() == len(orders), "and none was allocated for nothing"
        assert all(label == "duel" for label in (s["metadata"]["labels"][FLEET_LABEL] for s in fake.of_fleet("duel")))

    asyncio.run(scenario())
