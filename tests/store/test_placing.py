"""Where matches go: lua/lib/placing.lua, through the scripts and on its own."""

from typing import Any

import pytest

from match_server.setting_types import Placement
from match_server.store.journey import AllocationPolicy, JourneyStore, Ready, Step
from match_server.store.tickets import Proposal
from tests.shared.invariants import contradictions
from tests.shared.look import Look
from tests.store import lua_sources
from tests.store.pool import LEASE_SECONDS, LOADING_SECONDS, PARTY_SECONDS, RANKED, SECOND_US, SIZES, WAIT_SECONDS, Pool
from tests.store.ranked_pool import RULES, RankedPool

_PARTS = ("pool", "slots", "placing")


def placing(pool: Pool, body: str, *arguments: Any) -> Any:
    """Run a text of the test's own behind the parts that decide where a match goes."""
    parts = [(lua_sources.FOLDER / "lib" / f"{part}.lua").read_text(encoding="utf-8") for part in _PARTS]
    parts.insert(0, "local DATABASE, PUBLISH = '', 'PUBLISH'")
    return pool.redis("EVAL", "\n".join([*parts, body]), 1, f"{pool.prefix}clock", *arguments)


def total_commands(pool: Pool) -> int:
    """How many commands Redis has run, those of scripts among them."""
    return sum(stat["calls"] for stat in pool.redis("INFO", "commandstats").values())


def slots_to_come(pool: Pool, mode: str, region: str | None = None) -> int:
    return int(placing(pool, "return slots_to_come(ARGV[1], ARGV[2])", mode, *([] if region is None else [region])))


def reserve(pool: Pool, session: str, region: str) -> str | None:
    body = """
      local server = reserve({ id = ARGV[1], game_mode = 'duel', players = {} }, ARGV[2], 'spread', '1')
      refresh_changed_servers(1)
      return server and server.id
    """
    found: str | None = placing(pool, body, session, region)
    return found


def places(pool: Pool, matches: int, placement: Placement) -> list[str]:
    """The servers of this many matches of two that become ready in one call."""
    policy = AllocationPolicy(
        node="n1",
        lease_us=LEASE_SECONDS * SECOND_US,
        wait_us=WAIT_SECONDS * SECOND_US,
        attempts=3,
        placement=placement,
    )
    journey = JourneyStore(
        pool.runner,
        policy=policy,
        loading_timeout_us=LOADING_SECONDS * SECOND_US,
        party_timeout_us=PARTY_SECONDS * SECOND_US,
    )
    players = [f"p{number}" for number in range(2 * matches)]
    pool.enqueue(*players)
    while pool.match().more:
        pass
    items = [Ready(player, f"{player}/1", pool.session_of(player)) for player in players]
    readies = pool.do(journey.step("duel", SIZES["duel"], Step(readies=items))).readies
    return [readied.order.server_id for readied in readies if not isinstance(readied, Exception) and readied.order]


def test_spread_takes_the_server_with_the_largest_share_free(pool: Pool) -> None:
    pool.register("large", capacity=8, active_sessions=("a", "b", "c", "d", "e"))
    pool.register("small", capacity=2)

    assert sorted(places(pool, 2, "spread")) == ["small", "small"], "1 and then a half are more than 3/8"


def test_pack_takes_the_fullest_server_that_has_room(pool: Pool) -> None:
    pool.register("empty", capacity=4)
    pool.register("nearly-full", capacity=4, active_sessions=("a", "b", "c"))
    pool.register("half-full", capacity=4, active_sessions=("d", "e"))

    assert places(pool, 4, "pack") == ["nearly-full", "half-full", "half-full", "empty"]


def test_many_servers_with_one_slot_get_one_match_each(pool: Pool) -> None:
    for number in range(200):
        pool.register(f"s{number}")

    assert len(set(places(pool, 200, "spread"))) == 200

    assert all(status.free == 0 for status in pool.servers().values())
    assert list(contradictions(Look(pool.contents()), SIZES)) == []


def test_an_entry_of_the_index_without_a_server_is_passed_over(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    pool.redis("ZADD", f"{pool.prefix}servers:open:* eu", 1, "s9")

    assert places(pool, 2, "spread") == ["s1", "s1"]


def test_a_region_without_a_free_slot_is_no_region(pool: Pool) -> None:
    pool.register("s1", capacity=3)
    pool.register("s2", capacity=2, region="us east", game_modes=("duel", "trio"))

    assert [slots_to_come(pool, "duel", region) for region in (None, "eu", "us east", "asia")] == [5, 3, 2, 0]
    assert [slots_to_come(pool, "raid", region) for region in (None, "eu", "us east", "asia")] == [3, 3, 0, 0]
    assert [reserve(pool, f"x{number}", "us east") for number in range(3)] == ["s2", "s2", None]
    assert [reserve(pool, f"y{number}", "asia") for number in range(1)] == [None]
    assert slots_to_come(pool, "duel", "us east") == 0
    assert slots_to_come(pool, "duel", "eu") == 3


def test_a_pending_match_takes_from_a_region_what_it_does_not_find_elsewhere(pool: Pool) -> None:
    pool.register("s1", capacity=1)
    pool.register("s2", capacity=3, region="us")
    pool.loading("ann", "bob")
    pool.loading("cid", "dan")

    assert slots_to_come(pool, "duel") == 2
    assert slots_to_come(pool, "duel", "us") == 2, "one of the two may find its slot in the other region"
    assert slots_to_come(pool, "duel", "eu") == 1, "both find theirs in the other region"


def test_a_match_that_wants_a_region_takes_a_slot_there_and_nowhere_else(ranked: RankedPool) -> None:
    for server_id in ranked.servers():
        ranked.do(ranked.registry.remove(server_id))
    for region in ("eu", "us"):
        ranked.register(region, capacity=2, region=region)

    def form(*players: str, region: str = "") -> str:
        proposal = Proposal(tuple(ranked.alone(*players)), {}, region)
        timeout_us = LOADING_SECONDS * SECOND_US
        form = ranked.tickets.form(RANKED, [proposal], rules_version=RULES, loading_timeout_us=timeout_us)
        (outcome,) = ranked.do(form)
        ranked.check()
        return getattr(outcome, "code", "formed")

    assert [form(f"a{n}", f"b{n}", region="us") for n in range(3)] == ["formed", "formed", "no_slot"]
    assert [slots_to_come(ranked, RANKED, region) for region in (None, "eu", "us")] == [2, 2, 0]
    assert form("cid", "dan") == "formed"
    assert [slots_to_come(ranked, RANKED, region) for region in (None, "eu", "us")] == [1, 1, 0]
    ranked.ready("a0")
    order = ranked.ready("b0").order
    assert order is not None
    assert order.server_id == "us"
    ranked.leave("a1")
    ranked.check()
    assert [slots_to_come(ranked, RANKED, region) for region in (None, "eu", "us")] == [2, 2, 1]


def test_matches_formed_in_one_call_for_several_regions_are_all_expected(ranked: RankedPool) -> None:
    for region in ("eu", "us"):
        ranked.register(region, capacity=2, region=region)
    first, second = ranked.alone("ann", "bob"), ranked.alone("cid", "dan")
    proposals = [Proposal(tuple(first), {}, "eu"), Proposal(tuple(second), {}, "us")]
    timeout_us = LOADING_SECONDS * SECOND_US

    ranked.do(ranked.tickets.form(RANKED, proposals, rules_version=RULES, loading_timeout_us=timeout_us))

    assert ranked.members("modes:pending") == [RANKED, f"{RANKED} eu", f"{RANKED} us"]
    ranked.check()
    ranked.move_clock(LOADING_SECONDS + 1)
    ranked.renew()
    assert ranked.sweep().loading_timeouts == 2


def test_a_mode_with_nothing_under_way_is_forgotten(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    order = pool.allocating("ann", "bob")
    assert slots_to_come(pool, "duel") == 1
    assert pool.members("modes:pending") == ["duel"], "the match may yet wait for a slot again"
    pool.confirm(order)

    assert slots_to_come(pool, "duel") == 1

    assert pool.members("modes:pending") == []


def test_servers_that_name_the_same_modes_in_another_order_are_one_class(pool: Pool) -> None:
    pool.register("s1", game_modes=("trio", "duel"))
    pool.register("s2", game_modes=("duel", "trio", "duel"))

    assert pool.hash("servers:free") == {"duel,trio eu": "2"}


def test_a_server_that_registers_with_other_modes_changes_its_class(pool: Pool) -> None:
    pool.register("s1", capacity=2, game_modes=("trio",))
    pool.register("s1", capacity=4, game_modes=("duel",))

    assert pool.hash("servers:free") == {"duel eu": "4"}
    assert "servers:open:trio eu" not in pool.key_names()


@pytest.mark.parametrize("capacity", [1, 20])
def test_a_match_costs_as_many_commands_whatever_the_fleet(pool: Pool, capacity: int) -> None:
    def cost(*players: str) -> int:
        pool.enqueue(*players)
        before = total_commands(pool)
        pool.match()
        order = [pool.ready(player).order for player in players][-1]
        assert order is not None
        pool.confirm(order)
        spent = total_commands(pool) - before
        pool.end(order.server_id, order.loading_session_id)
        return spent

    pool.register("s0", capacity=capacity)
    cost("eve", "fay")  # a first match finds no mode with matches under way
    with_one = cost("ann", "bob")
    for number in range(1, 300):
        pool.register(f"s{number}", capacity=capacity)

    assert cost("cid", "dan") <= with_one


def test_matching_costs_as_many_commands_however_many_modes_are_known(pool: Pool) -> None:
    def cost(*players: str) -> int:
        pool.enqueue(*players)
        before = total_commands(pool)
        assert pool.match().formed == 1
        return total_commands(pool) - before

    pool.register("s1", capacity=10)
    cost("eve", "fay")  # a first match finds no mode with matches under way
    with_few = cost("ann", "bob")
    pool.do(pool.upkeep().renew(lease_us=LEASE_SECONDS * SECOND_US, game_modes=[f"m{n}" for n in range(300)]))

    assert cost("cid", "dan") <= with_few
