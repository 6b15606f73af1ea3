"""Every frame that the scripts write is one of the protocol's, with nothing more and nothing less in it."""

import json

from match_server.protocol import decode_server, encode
from match_server.store.journey import CatchUp, Resume, Step
from tests.store.pool import JUST_NOW, Pool, answered


def every_frame_of_a_life(pool: Pool) -> list[str]:
    """Publish or return each kind of frame, in each of its variants."""
    pool.register("s1", capacity=20)
    frames: list[str] = []

    def resume_and_catch_up(player: str, connection: str) -> None:
        resume = Resume(player, connection, "n1", 1, f"token-of-{player}", "duel", pool.now_us(), JUST_NOW)
        catch_up = CatchUp(player, connection, f"token-of-{player}", 0, 0)
        result = pool.step("duel", Step(resumes=[resume], catch_ups=[catch_up]))
        frames.extend(answered(result.resumes[0]).fields[3:])
        frames.extend(answered(result.catch_ups[0]).fields)

    pool.enqueue("resumes-queued")
    resume_and_catch_up("resumes-queued", "x/1")
    pool.leave("resumes-queued", connection="x/1")

    order = pool.allocating("a-Z_0.9@b:c", "p" * 64)
    resume_and_catch_up(order.players[0], "x/2")
    pool.confirm(order, session_id="their.own:id@1", address='game-7.example.com:7777/é?a=b\\"')
    resume_and_catch_up(order.players[0], "x/3")

    pool.loading("leaver", "requeued")
    resume_and_catch_up("requeued", "x/4")
    pool.leave("leaver")
    resume_and_catch_up("requeued", "x/5")
    pool.leave("requeued", connection="x/5", reason="disconnected")

    pool.loading("times-out", "loads")
    pool.ready("loads")
    failing = pool.allocating("f1", "f2")
    assert pool.fail(failing, "error")[0] == "waiting"
    pool.move_clock(61)
    pool.renew()
    pool.sweep()
    pool.sweep(queue_timeout=1)
    look = CatchUp("loads", "loads/1", "token-of-loads", 0, 0)
    frames.extend(answered(pool.step("duel", Step(catch_ups=[look])).catch_ups[0]).fields)
    return frames + pool.everything_said()


def test_every_frame_decodes_and_encodes_to_the_same_document(pool: Pool) -> None:
    frames = every_frame_of_a_life(pool)

    for frame in frames:
        assert json.loads(encode(decode_server(frame))) == json.loads(frame)


def test_the_frames_of_that_life_are_of_every_kind_and_reason(pool: Pool) -> None:
    frames = [json.loads(frame) for frame in every_frame_of_a_life(pool)]

    assert {frame["type"] for frame in frames} == {
        "queued",
        "start_loading",
        "match_cancelled",
        "match_found",
        "dequeued",
        "resumed",
    }
    assert {frame["reason"] for frame in frames if frame["type"] == "dequeued"} == {
        "requested",
        "disconnected",
        "loading_timeout",
        "queue_timeout",
    }
    assert {frame["reason"] for frame in frames if frame["type"] == "match_cancelled"} == {
        "player_left",
        "loading_timeout",
        "allocation_failed",
    }
    assert {frame["state"] for frame in frames if frame["type"] == "resumed"} == {
        "queued",
        "loading",
        "allocating",
        "matched",
    }
    assert {frame["requeued"] for frame in frames if frame["type"] == "queued"} == {True, False}
