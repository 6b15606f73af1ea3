"""A resume, and the connection that its player is taken from. On virtual time."""

from match_server.errors import CloseCode
from match_server.store import journey
from match_server.store.journey import Answer
from tests.unit.session_table import (
    AWAY,
    CONNECTION,
    MODE,
    NODE,
    PLAYER,
    SESSION_A,
    TOKEN,
    Unanswered,
    match_found,
    mint_with,
    queued,
    resume_answer,
    resumed,
    start_loading,
    table,
)
from tests.unit.virtual_time import run, until_quiet

# --- resume ---


def test_a_resume_is_answered_by_resumed_and_the_frame_of_the_state() -> None:
    async def scenario() -> None:
        async with table() as t:
            frames = resumed(200, "loading"), start_loading(201, SESSION_A)
            t.pool.will_answer(journey.Resume, resume_answer(*frames))
            await t.resume(TOKEN)
            assert t.sent() == list(frames)
            (item,) = t.pool.got(journey.Resume)
            assert (item.player_id, item.connection, item.node) == (PLAYER, CONNECTION, NODE)
            assert (item.resume_token, item.game_mode) == (TOKEN, MODE)
            await t.channel(start_loading(200, SESSION_A), match_found(300, SESSION_A))
            assert t.sent_types() == ["match_found"]

    run(scenario())


def test_a_resume_token_that_nobody_known_has_signed_proves_nothing_by_itself() -> None:
    async def scenario() -> None:
        async with table() as t:
            stranger = mint_with("another secret")
            t.pool.will_answer(journey.Resume, Answer("invalid_resume_token"))
            for token in (stranger.mint(PLAYER, MODE), t.tokens.mint("bob", MODE), t.tokens.mint(PLAYER, "Chess"), "x"):
                await t.resume(token)
            assert t.refusals() == ["invalid_resume_token"] * 4
            asked = t.pool.got(journey.Resume)
            assert [item.made_at_us for item in asked] == ["", ""], "the others name no mode of this node"

    run(scenario())


def test_a_resume_for_a_place_that_is_gone_is_refused_and_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Resume, Answer("invalid_resume_token"))
            await t.resume(TOKEN)
            assert t.refusals() == ["invalid_resume_token"]
            assert t.channels.now == []
            await t.close()
            assert t.pool.got(journey.Leave) == []

    run(scenario())


def test_a_resume_without_an_answer_is_server_busy_and_the_end_of_the_connection_holds_the_player() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Resume, AWAY)
            await t.resume(TOKEN)
            assert t.refusals() == ["server_busy"]
            await t.close(left=False, grace_seconds=7)
            assert t.pool.got(journey.Hold) == [journey.Hold(PLAYER, CONNECTION, 7_000_000)]

    run(scenario())


# --- taken over ---


def test_a_connection_whose_player_was_taken_over_is_closed_with_4000_and_touches_the_player_no_more() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Answer("taken_over"))
            t.port.taken_over(PLAYER)
            await t.channel(start_loading(200, SESSION_A))
            assert t.socket.closed == [CloseCode.TAKEN_OVER]
            assert t.sent() == []
            assert t.channels.now == []
            await t.close(left=False)
            await t.session.ended()
            assert {journey.Leave, journey.Hold}.isdisjoint(map(type, t.pool.items))

    run(scenario())


def test_a_takeover_of_another_player_is_none_of_its_business() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.port.taken_over("bob")
            await t.channel(start_loading(200, SESSION_A))
            assert t.socket.closed == []
            assert t.sent_types() == ["start_loading"]

    run(scenario())


def test_a_catch_up_that_finds_another_owner_closes_with_4000() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Answer("taken_over"))
            await t.catch_up()
            assert t.socket.closed == [CloseCode.TAKEN_OVER]
            await t.close()
            assert t.pool.got(journey.Leave) == []

    run(scenario())


def test_a_takeover_from_before_its_own_resume_does_not_close_the_owner() -> None:
    """Two resumes race on one node (docs/races.md, 13b): the last one owns the player, and must stay."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.Resume, Unanswered())
            await t.resume(TOKEN)
            t.port.taken_over(PLAYER)  # another connection had resumed just before
            t.pool.open[0].answer(resume_answer(resumed(300), queued(301)))
            await until_quiet()
            assert t.socket.closed == []
            await t.channel(start_loading(400, SESSION_A))
            assert t.sent_types() == ["resumed", "queued", "start_loading"]

    run(scenario())


def test_a_reassertion_that_finds_another_owner_closes_with_4000() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            t.pool.will_answer(journey.Reassert, Answer("taken_over"))
            await t.catch_up()
            assert t.socket.closed == [CloseCode.TAKEN_OVER]

    run(scenario())
