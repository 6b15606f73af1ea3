"""The most work that its caller gives to one call of each script."""

from collections.abc import Callable

from match_server.servers.provider import Order
from match_server.store.journey import Confirm, Enqueue, Fail, Hold, Leave, Readied, Ready, Resume, Step
from match_server.store.operators import Position
from match_server.store.tickets import Part, WaitingTicket
from tests.store.pool import (
    ATTEMPTS,
    GRACE_SECONDS,
    JUST_NOW,
    LEASE_SECONDS,
    RANKED,
    SECOND_US,
    SERVER_LEASE_SECONDS,
    SIZES,
    Pool,
)
from tests.store.ranked_pool import RULES, RankedPool

MODES = [f"mode-{number}" for number in range(300)]


# --- what is there before ---


def crowd(pool: Pool, count: int, mode: str = "duel", *, node: str = "n1") -> list[str]:
    """This many players wait."""
    players = [f"{mode}{number}" for number in range(count)]
    items = [Enqueue(player, f"{player}/1", 1, f"token-of-{player}", JUST_NOW) for player in players]
    pool.step(mode, Step(enqueues=items), node=node)
    return players


def loading(pool: Pool, count: int, mode: str = "duel") -> list[str]:
    """This many players load."""
    players = crowd(pool, count, mode)
    while pool.match(mode).more:
        pass
    return players


def ready(pool: Pool, players: list[str], mode: str = "duel") -> list[Order]:
    items = [Ready(player, f"{player}/1", pool.session_of(player)) for player in players]
    readied = pool.step(mode, Step(readies=items)).readies
    return [entry.order for entry in readied if isinstance(entry, Readied) and entry.order]


def allocating(pool: Pool, count: int, mode: str = "duel") -> list[Order]:
    """The matches of this many players are being placed, each on a server of its own."""
    for number in range(count // SIZES[mode]):
        pool.register(f"{mode}-server-{number}")
    return ready(pool, loading(pool, count, mode), mode)


def on_their_last_attempt(pool: Pool, count: int, mode: str) -> list[Order]:
    orders = allocating(pool, count, mode)
    for order in orders:
        pool.redis("HSET", f"{pool.prefix}loading:{order.loading_session_id}", "#attempt", ATTEMPTS)
    return orders


def without_servers(pool: Pool) -> None:
    for server_id in pool.servers():
        pool.do(pool.registry.remove(server_id))


def waiting_for_a_slot(pool: Pool, count: int, mode: str) -> None:
    pool.register("first", capacity=count)
    players = loading(pool, count, mode)
    pool.do(pool.registry.remove("first"))
    ready(pool, players, mode)


def many_sessions(count: int) -> tuple[str, ...]:
    return tuple(f"11111111-1111-4111-8111-{number:012}" for number in range(count))


# --- the most that one call does ---


def confirm(pool: Pool, count: int, mode: str) -> None:
    orders = allocating(pool, count, mode)
    items = [
        Confirm(
            order.loading_session_id, order.attempt, order.loading_session_id, "x:1", ("t" * 300,) * len(order.players)
        )
        for order in orders
    ]
    pool.do(pool.journey().confirm(items, players=SIZES[mode]))


def fail(pool: Pool, count: int, mode: str) -> None:
    orders = allocating(pool, count, mode)
    for number in range(len(orders)):
        pool.register(f"further-{number}")
    items = [Fail(order.loading_session_id, order.attempt, "error", "") for order in orders]
    pool.do(pool.journey().fail(items, players=SIZES[mode]))


def fail_for_good(pool: Pool, count: int, mode: str) -> None:
    orders = on_their_last_attempt(pool, count, mode)
    items = [Fail(order.loading_session_id, ATTEMPTS, "error", "") for order in orders]
    pool.do(pool.journey().fail(items, players=SIZES[mode]))


def adopt(pool: Pool, count: int, mode: str) -> None:
    allocating(pool, count, mode)
    without_servers(pool)
    pool.move_clock(LEASE_SECONDS + 1)
    for number in range(count):
        pool.register(f"further-{number}")
    pool.adopt()


def adopt_and_give_up(pool: Pool, count: int, mode: str) -> None:
    on_their_last_attempt(pool, count, mode)
    without_servers(pool)
    pool.move_clock(LEASE_SECONDS + 1)
    pool.adopt()


def place(pool: Pool, count: int, mode: str) -> None:
    waiting_for_a_slot(pool, count, mode)
    for number in range(count):
        pool.register(f"further-{number}")
    pool.place(mode)


def place_nobody(pool: Pool, count: int, mode: str) -> None:
    waiting_for_a_slot(pool, count, mode)
    leaves = [Leave(f"{mode}{number}", f"{mode}{number}/1", 2, "disconnected") for number in range(count)]
    pool.step(mode, Step(leaves=leaves))
    pool.register("another", capacity=count)
    pool.place(mode)


def readies(pool: Pool, count: int, mode: str) -> None:
    allocating(pool, count, mode)


def try_match_among_modes(pool: Pool) -> None:
    """Each mode has servers of its own, and matches under way."""
    for mode in MODES:
        pool.register(f"server-{mode}", game_modes=(mode, "duel"))
        pool.redis("SADD", f"{pool.prefix}modes:pending", mode)
        pool.redis("ZADD", f"{pool.prefix}sessions:loading:{mode}", JUST_NOW, f"session-{mode}")
    loading(pool, 64)


def leave(pool: Pool, mode: str, count: int) -> None:
    pool.register("s1", capacity=count)
    players = loading(pool, count, mode)
    pool.step(mode, Step(leaves=[Leave(player, f"{player}/1", 2, "requested") for player in players]))


def leave_the_queue(pool: Pool) -> None:
    players = crowd(pool, 64)
    pool.step("duel", Step(leaves=[Leave(player, f"{player}/1", 2, "requested") for player in players]))


def hold(pool: Pool) -> None:
    players = crowd(pool, 64)
    pool.step("duel", Step(holds=[Hold(player, f"{player}/1", 1) for player in players]))


def resume(pool: Pool) -> None:
    players = crowd(pool, 64)
    pool.step("duel", Step(holds=[Hold(player, f"{player}/1", 1) for player in players]))
    made = pool.now_us()
    items = [Resume(player, f"{player}/2", "n2", 1, f"token-of-{player}", "duel", made, JUST_NOW) for player in players]
    pool.step("duel", Step(resumes=items))


def grace_ends(pool: Pool, count: int, mode: str) -> None:
    pool.register("s1", capacity=count)
    players = loading(pool, count, mode)
    pool.step(mode, Step(holds=[Hold(player, f"{player}/1", 1) for player in players]))
    pool.move_clock(1)
    pool.sweep()


def queue_timeouts(pool: Pool) -> None:
    crowd(pool, 300)
    pool.move_clock(10)
    pool.renew()
    pool.sweep(queue_timeout=5)


def loading_timeouts(pool: Pool, count: int, mode: str) -> None:
    pool.register("s1", capacity=count)
    loading(pool, count, mode)
    pool.move_clock(61)
    pool.renew()
    pool.sweep()


def nodes_die(pool: Pool) -> None:
    for node in ("a", "b", "c"):
        pool.renew(node)
        players = [f"{node}{number}" for number in range(100)]
        pool.enqueue(*players, node=node)
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep()


def servers_are_lost(pool: Pool) -> None:
    for number in range(120):
        pool.register(f"s{number}", max_session_seconds=100, active_sessions=("a",))
    pool.move_clock(SERVER_LEASE_SECONDS + 1)
    pool.sweep()


def sessions_are_overdue(pool: Pool) -> None:
    for number in range(120):
        pool.register(f"s{number}", max_session_seconds=1, active_sessions=("a", "b"))
    pool.move_clock(2)
    pool.sweep()


def quarantines_end(pool: Pool) -> None:
    orders = allocating(pool, 240)
    for server_id in pool.servers():
        pool.another_failed_on(server_id)
    items = [Fail(order.loading_session_id, order.attempt, "error", "") for order in orders]
    pool.do(pool.journey().fail(items))
    pool.move_clock(1)
    pool.sweep()


def register(pool: Pool) -> None:
    sessions = many_sessions(1000)
    pool.register("s1", capacity=1000, max_session_seconds=60, active_sessions=sessions)
    pool.register("s1", capacity=1000, max_session_seconds=60, active_sessions=sessions)


def another_incarnation(pool: Pool) -> None:
    pool.register("s1", capacity=50_000, max_session_seconds=60, active_sessions=many_sessions(50_000))
    pool.register("s1", capacity=50_000, incarnation="second")


def remove(pool: Pool) -> None:
    pool.register("s1", capacity=50_000, max_session_seconds=60, active_sessions=many_sessions(50_000))
    pool.do(pool.registry.remove("s1"))


def heartbeat(pool: Pool) -> None:
    """All sessions are left out of two lists, and others stand there."""
    pool.register("s1", capacity=1000, max_session_seconds=60, active_sessions=many_sessions(1000))
    pool.heartbeat("s1", ["stranger"])
    pool.heartbeat("s1", [f"stranger-{number}" for number in range(1000)])


def heartbeat_of_unknown_fates(pool: Pool) -> None:
    sessions = many_sessions(1000)
    pool.register("s1", capacity=1000)
    pool.redis("HSET", f"{pool.prefix}reserved:s1", *(part for session in sessions for part in (session, "unknown 0")))
    pool.heartbeat("s1", list(sessions))
    pool.heartbeat("s1", ["stranger"])
    pool.heartbeat("s1", ["stranger"])


def note_unreachable(pool: Pool) -> None:
    pool.register("s1", incarnation="one")
    pool.do(pool.registry.note_unreachable("s1", "one", "x" * 200))


def end_sessions(pool: Pool) -> None:
    sessions = many_sessions(1000)
    pool.register("s1", capacity=1000, max_session_seconds=60, active_sessions=sessions)
    pool.end("s1", *sessions, result="x" * 16_000)
    pool.end("s1", *sessions)
    pool.move_clock(61)
    pool.end("s1", *sessions)


def due_modes(pool: Pool) -> None:
    """Somebody waits in each of 300 modes, and in each a match loads."""
    for number in range(300):
        mode = f"mode-{number}"
        pool.redis("SADD", f"{pool.prefix}queue:{mode}", "ann")
        pool.redis("SADD", f"{pool.prefix}modes:waiting", mode)
        pool.redis("SADD", f"{pool.prefix}modes:pending", mode)
    pool.do(pool.upkeep().due_modes(period_us=SECOND_US))


def rotate_often(pool: Pool) -> None:
    """A hundred rotations within a day."""
    for number in range(100):
        pool.do(pool.upkeep().signing_keys(f"key-{number}", rotate=True))


def look_at_nodes(pool: Pool) -> None:
    for number in range(200):
        pool.renew(f"n{number}")
    pool.do(pool.operators.nodes())


def look_at_players(pool: Pool, mode: str, count: int, stage: str) -> None:
    pool.register("s1", capacity=400)
    loading(pool, count, mode) if stage == "loading" else crowd(pool, count, mode)
    pool.do(pool.operators.players(Position(mode, stage), 100))


def retire(pool: Pool) -> None:
    crowd(pool, 300)
    pool.do(pool.upkeep().retire(grace_us=GRACE_SECONDS * SECOND_US))


def release(pool: Pool) -> None:
    players = crowd(pool, 64)
    pool.do(pool.upkeep().release(players, grace_us=GRACE_SECONDS * SECOND_US))


def hand_over(pool: Pool) -> None:
    pool.hand_over(*allocating(pool, 64) * 20)


def renew(pool: Pool) -> None:
    leases = [("duel", order.loading_session_id) for order in allocating(pool, 64)] * 20
    pool.do(pool.upkeep().renew(lease_us=LEASE_SECONDS * SECOND_US, game_modes=MODES, allocations=leases))


def look_at_servers(pool: Pool) -> None:
    for number in range(120):
        pool.register(f"s{number}", game_modes=("duel", "trio"), max_session_seconds=60)
    pool.servers()


def reassert(pool: Pool, count: int, mode: str) -> None:
    """Redis says that the players are in a match which their clients know to be over."""
    pool.register("s1", capacity=count)
    players = loading(pool, count, mode)
    for player in players[:40]:
        pool.reassert(player, seq=JUST_NOW, mode=mode, node="n2")


def catch_up(pool: Pool) -> None:
    pool.register("s1", capacity=100)
    for player in loading(pool, 32):
        pool.catch_up(player)


def tickets(pool: RankedPool, count: int) -> list[WaitingTicket]:
    pool.enqueue(*(f"p{number}" for number in range(count)), mode=RANKED, part=Part({"rating": 1500}))
    return list(pool.waiting().values())


def party(pool: RankedPool) -> None:
    pool.enqueue(*(f"p{number}" for number in range(32)), mode=RANKED, part=Part({"rating": 1500}, "pals", 32))


def form(pool: RankedPool, count: int, size: int) -> None:
    pool.register("s1", capacity=count)
    waiting = tickets(pool, count)
    pool.form(*(waiting[start : start + size] for start in range(0, count, size)))


def meetings(pool: RankedPool) -> None:
    """The largest match meets, and a page of its players is asked for."""
    pool.register("s1")
    waiting = tickets(pool, 100)
    pool.form(waiting, remember=100)
    players = [ticket.players[0] for ticket in waiting]
    (order,) = [order for player in players if (order := pool.ready(player).order)]
    pool.confirm(order)
    pool.do(pool.tickets.meetings(players))


def read_feed(pool: RankedPool) -> None:
    lease = pool.do(pool.tickets.take_lease(RANKED, RULES))
    head = pool.head()
    tickets(pool, 600)
    feed = pool.do(pool.tickets.feed(RANKED, head, lease=lease))
    pool.do(pool.tickets.feed(RANKED, feed.head, lease=lease))


def trim_events(pool: Pool) -> None:
    """As many as one call can delete, and a sink that loses some."""
    pool.redis("XGROUP", "CREATE", f"{pool.prefix}events", "history", "0", "MKSTREAM")
    pool.redis("XREADGROUP", "GROUP", "history", "a", "COUNT", 10, "STREAMS", f"{pool.prefix}events", ">")
    add = "for i = 1, 20000 do redis.call('XADD', KEYS[1], i .. '-1', 'e', string.rep('x', 100)) end"
    pool.redis("EVAL", add, 1, f"{pool.prefix}events")
    pool.redis("HSET", f"{pool.prefix}clock", "events", 20_000)
    pool.run("trim_events", 10, 1000)


CASES: dict[str, tuple[Callable[[RankedPool], object], ...]] = {
    "adopt": (
        lambda pool: adopt(pool, 256, "duel"),
        lambda pool: adopt(pool, 300, "royale"),
        lambda pool: adopt_and_give_up(pool, 256, "duel"),
        lambda pool: adopt_and_give_up(pool, 300, "royale"),
    ),
    "catch_up": (catch_up,),
    "confirm": (lambda pool: confirm(pool, 64, "duel"), lambda pool: confirm(pool, 200, "royale")),
    "end_sessions": (end_sessions,),
    "enqueue": (lambda pool: crowd(pool, 64),),
    "enqueue_ticket": (lambda pool: tickets(pool, 64), party),
    "expire_nodes": (nodes_die,),
    "expire_players": (
        lambda pool: grace_ends(pool, 300, "duel"),
        lambda pool: grace_ends(pool, 300, "royale"),
        queue_timeouts,
    ),
    "expire_servers": (servers_are_lost, sessions_are_overdue, quarantines_end),
    "expire_sessions": (
        lambda pool: loading_timeouts(pool, 300, "duel"),
        lambda pool: loading_timeouts(pool, 300, "royale"),
    ),
    "fail": (
        lambda pool: fail(pool, 64, "duel"),
        lambda pool: fail(pool, 100, "royale"),
        lambda pool: fail_for_good(pool, 64, "duel"),
        lambda pool: fail_for_good(pool, 100, "royale"),
    ),
    "drain_server": (lambda pool: [pool.register("s1", capacity=50_000), pool.do(pool.registry.drain("s1"))],),
    "due_modes": (due_modes,),
    "form": (lambda pool: form(pool, 64, 4), lambda pool: form(pool, 100, 100)),
    "give_tickets": (lambda pool: [crowd(pool, 32), pool.do(pool.tickets.give_tickets("duel", {"rating": 1500}))],),
    "heartbeat_server": (heartbeat, heartbeat_of_unknown_fates),
    "hold": (hold,),
    "lease_proposer": (lambda pool: pool.do(pool.tickets.take_lease(RANKED, RULES)),),
    "lease_fleets": (lambda pool: pool.run("lease_fleets", "n1", 1000),),
    "lease_sink": (lambda pool: pool.run("lease_sink", "history", "a", 1000),),
    "leave": (lambda pool: leave(pool, "duel", 64), lambda pool: leave(pool, "royale", 100), leave_the_queue),
    "meetings": (meetings,),
    "note_blocked": (lambda pool: pool.run("note_blocked", "duel", 1000),),
    "note_unreachable": (note_unreachable,),
    "pause": (lambda pool: pool.do(pool.operators.pause("duel", paused=True)),),
    "place": (
        lambda pool: place(pool, 256, "duel"),
        lambda pool: place(pool, 200, "royale"),
        lambda pool: place_nobody(pool, 256, "duel"),
        lambda pool: place_nobody(pool, 200, "royale"),
    ),
    "player": (lambda pool: [crowd(pool, 2), pool.player("duel0")],),
    "publish_rules": (lambda pool: pool.do(pool.tickets.publish_rules(1, dict.fromkeys(MODES, RULES))),),
    "nodes": (look_at_nodes,),
    "players": (
        lambda pool: look_at_players(pool, "duel", 250, "waiting"),
        lambda pool: look_at_players(pool, "duel", 240, "loading"),
        lambda pool: look_at_players(pool, "royale", 300, "loading"),
    ),
    "queues": (lambda pool: pool.do(pool.operators.queues(MODES)),),
    "read_feed": (read_feed,),
    "ready": (lambda pool: readies(pool, 64, "duel"), lambda pool: readies(pool, 100, "royale")),
    "reassert": (lambda pool: reassert(pool, 32, "duel"), lambda pool: reassert(pool, 100, "royale")),
    "register_server": (register, another_incarnation),
    "release_players": (release,),
    "remove_players": (
        lambda pool: pool.do(pool.operators.remove(loading(pool, 64, "duel"), players=2)),
        lambda pool: pool.do(pool.operators.remove(loading(pool, 100, "royale"), players=100)),
    ),
    "remove_server": (remove,),
    "hand_over": (hand_over,),
    "renew": (renew,),
    "resume": (resume,),
    "retire_node": (retire,),
    "servers": (look_at_servers,),
    "signing_keys": (rotate_often,),
    "snapshot": (lambda pool: tickets(pool, 120),),
    "sweep": (lambda pool: pool.sweep(),),
    "trim_events": (trim_events,),
    "try_match": (
        lambda pool: readies(pool, 64, "duel"),
        lambda pool: readies(pool, 200, "royale"),
        try_match_among_modes,
    ),
}
