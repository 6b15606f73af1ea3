"""Each transition leaves its event, exactly one, written by its own script (lua/lib/events.lua)."""

import json

import pytest

from match_server.events.cloudevents import read_entry
from match_server.events.data import (
    EventData,
    MatchCancelled,
    MatchFormed,
    MatchFound,
    MatchPlayer,
    NodeLost,
    PlayerDequeued,
    PlayerHeld,
    PlayerQueued,
    PlayerResumed,
    QueuePaused,
    QueueResumed,
    ServerDraining,
    ServerLeft,
    ServerLost,
    ServerRegistered,
    SessionEnded,
)
from match_server.store.scripts import load_scripts
from tests.store.pool import (
    ADDRESS,
    GRACE_SECONDS,
    LEASE_SECONDS,
    LOADING_SECONDS,
    RANKED,
    SERVER_LEASE_SECONDS,
    WAIT_SECONDS,
    Pool,
)
from tests.store.ranked_pool import RULES, RankedPool


def queued(player: str, mode: str = "duel", *, requeued: bool = False) -> PlayerQueued:
    return PlayerQueued(player_id=player, game_mode=mode, requeued=requeued)


def of_type(pool: Pool, kind: type[EventData]) -> list[EventData]:
    return [event for event in pool.events() if isinstance(event, kind)]


# --- players ---


def test_enqueue_and_its_repeat(pool: Pool) -> None:
    pool.enqueue("ann", "bob")
    pool.enqueue("ann")
    assert pool.events() == [queued("ann"), queued("bob")]


def test_leave_and_its_repeat(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.leave("ann")
    pool.leave("ann")
    assert pool.events()[1:] == [PlayerDequeued(player_id="ann", game_mode="duel", reason="requested")]


def test_hold_resume_and_their_repeats(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    pool.hold("ann")
    pool.resume("ann", connection="ann/2")
    pool.resume("ann", connection="ann/2")
    assert pool.events()[1:] == [
        PlayerHeld(player_id="ann", game_mode="duel", state="queued"),
        PlayerResumed(player_id="ann", game_mode="duel", state="queued"),
    ]


def test_a_resume_that_takes_the_player_from_a_live_connection_resumes_nobody(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.events()
    pool.resume("ann", connection="ann/2")
    assert pool.events() == []


def test_players_of_a_node_that_retires_or_lets_them_go(pool: Pool) -> None:
    pool.enqueue("ann", "bob")
    pool.events()
    pool.do(pool.upkeep().release(["ann"], grace_us=1_000_000))
    pool.do(pool.upkeep().retire(grace_us=1_000_000))
    held = [PlayerHeld(player_id=player, game_mode="duel", state="queued") for player in ("ann", "bob")]
    assert pool.events() == held


def test_a_node_is_lost_once_however_often_it_is_swept(pool: Pool) -> None:
    pool.renew("n2")
    pool.enqueue(*(f"p{number}" for number in range(150)), node="n2")
    pool.events()
    pool.move_clock(LEASE_SECONDS + 1)
    pool.renew("n1")
    for _ in range(3):
        pool.sweep()
    events = pool.events()
    assert [event for event in events if isinstance(event, NodeLost)] == [NodeLost(node="n2")]
    assert len([event for event in events if isinstance(event, PlayerHeld)]) == 150


def test_the_grace_ends_while_the_match_loads(pool: Pool) -> None:
    pool.register("s1")
    match = pool.loading("ann", "bob")
    pool.hold("ann")
    pool.events()
    pool.move_clock(GRACE_SECONDS + 1)
    pool.renew()
    pool.sweep()
    assert pool.events() == [
        PlayerDequeued(player_id="ann", game_mode="duel", reason="disconnected", match_id=match),
        queued("bob", requeued=True),
        MatchCancelled(match_id=match, game_mode="duel", reason="player_left", requeued=1, at_fault=["ann"]),
    ]


def test_a_wait_ends_at_its_limit(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.events()
    pool.move_clock(61)
    pool.renew()
    pool.sweep(queue_timeout=60)
    assert pool.events() == [PlayerDequeued(player_id="ann", game_mode="duel", reason="queue_timeout")]


def test_a_lost_player_is_put_back_by_its_session(pool: Pool) -> None:
    pool.enqueue("ann")
    seq = int(pool.record("ann")["seq"])
    epoch = pool.hash("clock")["epoch"]
    pool.lose_everything()
    pool.reassert("ann", seq=seq, claimed=seq, epoch=epoch)
    pool.reassert("ann", seq=seq, claimed=seq, epoch=epoch)
    assert pool.events() == [queued("ann", requeued=True)]


def test_a_lost_player_proves_itself_by_its_token(pool: Pool) -> None:
    pool.lose_everything()
    pool.resume("ann", connection="ann/1", made_at_us=1)
    assert pool.events() == [
        queued("ann", requeued=True),
        PlayerResumed(player_id="ann", game_mode="duel", state="queued"),
    ]


def test_a_party_is_queued_once_it_is_complete(ranked: RankedPool) -> None:
    ranked.events()
    ranked.arrive("ann", "p", 2)
    assert ranked.events() == []
    ranked.arrive("bob", "p", 2)
    ticket = ranked.ticket_of("ann")
    events = ranked.events()
    assert sorted(event.subject for event in events) == ["ann", "bob"]
    assert {getattr(event, "ticket_id", None) for event in events} == {ticket}
    ranked.leave("ann")
    assert ranked.events() == [
        PlayerDequeued(player_id="ann", game_mode=RANKED, reason="requested"),
        PlayerDequeued(player_id="bob", game_mode=RANKED, reason="party_left", left_by="ann"),
    ]


# --- matches ---


def test_a_random_draw(pool: Pool) -> None:
    pool.register("s1")
    match = pool.loading("ann", "bob")
    formed = pool.events()[-1]
    assert isinstance(formed, MatchFormed)
    assert (formed.match_id, formed.game_mode) == (match, "duel")
    assert sorted(player.player_id for player in formed.players) == ["ann", "bob"]
    assert all(0 <= player.waited_seconds < 60 and player.party_id is None for player in formed.players)


def test_a_match_by_rules(ranked: RankedPool) -> None:
    pals, alone = ranked.party("pals", "ann", "bob"), ranked.alone("cid")[0]
    ranked.events()
    match = ranked.formed(
        pals, alone, teams={"red": ["ann", "bob"], "blue": ["cid"]}, roles={"ann": "tank"}, region="eu"
    )
    (formed,) = ranked.events()
    assert isinstance(formed, MatchFormed)
    assert formed.match_id == match
    without_waits = [player.model_copy(update={"waited_seconds": 0.0}) for player in formed.players]
    assert without_waits == [
        MatchPlayer(player_id="ann", party_id="pals", team="red", role="tank", waited_seconds=0.0),
        MatchPlayer(player_id="bob", party_id="pals", team="red", waited_seconds=0.0),
        MatchPlayer(player_id="cid", team="blue", waited_seconds=0.0),
    ]
    assert (formed.region, formed.rules_version, formed.differences) == ("eu", RULES, {})


def test_a_match_is_found_and_ends(pool: Pool) -> None:
    pool.register("s1", region="eu north")
    order = pool.allocating("ann", "bob")
    pool.events()
    pool.confirm(order, session_id="session-1")
    pool.confirm(order, session_id="session-1")
    pool.end("s1", "session-1", result=json.dumps({"winner": "ann", "line": "a\nb\tc"}))
    pool.end("s1", "session-1")
    assert pool.events() == [
        MatchFound(
            match_id=order.loading_session_id,
            game_mode="duel",
            session_id="session-1",
            server_id="s1",
            region="eu north",
            players=list(order.players),
            server_address=ADDRESS,
        ),
        SessionEnded(
            session_id="session-1", server_id="s1", reason="reported", result={"winner": "ann", "line": "a\nb\tc"}
        ),
    ]


def test_an_end_that_comes_before_its_confirmation_keeps_its_result(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.end("s1", order.loading_session_id, result="[1]")
    assert of_type(pool, SessionEnded) == []
    pool.confirm(order)
    ended = SessionEnded(session_id=order.loading_session_id, server_id="s1", reason="reported", result=[1])
    assert pool.events()[1:] == [ended]


def test_an_end_of_a_session_that_never_was_is_no_event(pool: Pool) -> None:
    pool.register("s1")
    pool.events()
    pool.end("s1", "nobody-knows-it", result='"x"')
    assert pool.events() == []
    assert "results:s1" not in pool.key_names()


def test_an_end_that_is_found_out(pool: Pool) -> None:
    pool.register("s1", capacity=2, max_session_seconds=5, active_sessions=("a", "b"))
    pool.heartbeat("s1", ["b"])
    pool.heartbeat("s1", ["b"])
    pool.move_clock(6)
    pool.renew()
    pool.sweep()
    assert of_type(pool, SessionEnded) == [
        SessionEnded(session_id="a", server_id="s1", reason="missing"),
        SessionEnded(session_id="b", server_id="s1", reason="overdue"),
    ]


def test_a_match_does_not_load_in_time(pool: Pool) -> None:
    pool.register("s1")
    match = pool.loading("ann", "bob")
    pool.ready("ann")
    pool.events()
    pool.move_clock(LOADING_SECONDS + 1)
    pool.renew()
    pool.heartbeat("s1")
    pool.sweep()
    *of_players, cancelled = pool.events()
    assert sorted(of_players, key=lambda event: event.subject) == [
        queued("ann", requeued=True),
        PlayerDequeued(player_id="bob", game_mode="duel", reason="loading_timeout", match_id=match),
    ]
    assert cancelled == MatchCancelled(
        match_id=match, game_mode="duel", reason="loading_timeout", requeued=1, at_fault=["bob"]
    )


def test_a_match_that_waits_in_vain_for_a_slot(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.fail(order, "error")
    pool.events()
    pool.move_clock(WAIT_SECONDS + 1)
    pool.renew()
    pool.heartbeat("s1")
    pool.sweep()
    match = order.loading_session_id
    assert of_type(pool, MatchCancelled) == [
        MatchCancelled(match_id=match, game_mode="duel", reason="allocation_failed", requeued=2)
    ]


@pytest.mark.parametrize("step", ["fail", "place", "adopt"])
def test_a_match_whose_players_have_all_left(pool: Pool, step: str) -> None:
    pool.register("s1", capacity=2)
    order = pool.allocating("ann", "bob")
    for player in ("ann", "bob"):
        pool.leave(player, reason="disconnected")
    if step == "fail":
        pool.fail(order, "error")
    elif step == "place":
        pool.redis("HSET", f"{pool.prefix}loading:{order.loading_session_id}", "#server", "", "#not_before", 0)
        pool.redis("ZADD", f"{pool.prefix}sessions:unplaced:duel", 1, order.loading_session_id)
        pool.place()
    else:
        pool.redis("DEL", f"{pool.prefix}reserved:s1")
        pool.move_clock(LEASE_SECONDS + 1)
        pool.adopt()
    (cancelled,) = of_type(pool, MatchCancelled)
    assert isinstance(cancelled, MatchCancelled)
    assert (cancelled.reason, cancelled.requeued, sorted(cancelled.at_fault)) == ("player_left", 0, ["ann", "bob"])


def test_a_pause_and_its_end(pool: Pool) -> None:
    for paused in (True, True, False, False):
        pool.do(pool.operators.pause("duel", paused=paused))
    assert pool.events() == [QueuePaused(game_mode="duel"), QueueResumed(game_mode="duel")]


def test_what_operators_do_names_their_key(pool: Pool) -> None:
    pool.register("s1")
    pool.enqueue("ann")
    pool.events()
    pool.do(pool.operators.pause("duel", paused=True, by="night shift"))
    pool.do(pool.operators.remove(["ann", "nobody"], players=2, by="night shift"))
    for _ in range(2):
        pool.do(pool.registry.drain("s1", by="night shift"))
    pool.heartbeat("s1", draining=True)
    assert pool.events() == [
        QueuePaused(game_mode="duel", by="night shift"),
        PlayerDequeued(player_id="ann", game_mode="duel", reason="operator", by="night shift"),
        ServerDraining(server_id="s1", by="night shift"),
    ]


# --- servers ---


def test_a_server_from_its_registration_to_its_end(pool: Pool) -> None:
    pool.register("s1", capacity=3, game_modes=("trio", "duel"), active_sessions=tuple(f"x{n}" for n in range(3)))
    pool.register("s1", capacity=3)
    pool.heartbeat("s1", draining=True)
    pool.heartbeat("s1", draining=True)
    pool.register("s1", incarnation="second")
    pool.do(pool.registry.remove("s1"))
    pool.do(pool.registry.remove("s1"))
    registered = ServerRegistered(
        server_id="s1",
        how="created",
        sessions_lost=0,
        control_url="http://s1.example:9000",
        address=ADDRESS,
        capacity=3,
        game_modes=["duel", "trio"],
        region="eu",
    )
    assert pool.events() == [
        registered,
        ServerDraining(server_id="s1"),
        registered.model_copy(update={"how": "replaced", "sessions_lost": 3, "capacity": 1, "game_modes": []}),
        ServerLeft(server_id="s1", sessions_lost=0),
    ]


def test_a_server_that_is_lost(pool: Pool) -> None:
    pool.register("s1", active_sessions=("a",))
    pool.events()
    pool.move_clock(SERVER_LEASE_SECONDS + 1)
    pool.renew()
    pool.sweep()
    assert pool.events() == [ServerLost(server_id="s1", sessions_lost=1)]


# --- the stream ---


def test_events_are_numbered_without_gaps_and_say_when(pool: Pool) -> None:
    before = pool.redis_us()
    pool.enqueue("ann", "bob")
    pool.enqueue("cid")
    events = [event for entry in pool.entries() for event in read_entry(*entry, source="/match-server/")]
    numbers = [event.number for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert all(before <= event.microseconds <= pool.redis_us() for event in events)
    assert [event.time.timestamp() for event in events] == sorted(event.microseconds / 1_000_000 for event in events)


def test_numbers_lie_ahead_once_redis_has_lost_them(pool: Pool) -> None:
    pool.enqueue("ann")
    ((before, _),) = pool.entries()
    pool.lose_everything()
    pool.enqueue("ann", connection="ann/2")
    ((after, _),) = [entry for entry in pool.entries() if entry[0] != before]
    assert int(after.partition("-")[0]) > int(before.partition("-")[0])


def test_events_can_be_switched_off(redis_url: str, prefix: str) -> None:
    pool = Pool(redis_url, prefix, load_scripts(events=False))
    try:
        pool.register("s1")
        pool.found("ann", "bob")
        assert "events" not in pool.key_names()
    finally:
        pool.close()


def test_a_stream_that_cannot_be_written_stops_no_transition(pool: Pool) -> None:
    pool.redis("SET", f"{pool.prefix}events", "not a stream")
    assert pool.enqueue("ann", "bob") == ["queued", "queued"]
    assert pool.hash("clock")["events_dropped"] == "2"
