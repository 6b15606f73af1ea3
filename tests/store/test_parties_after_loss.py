"""Parties in a Redis that has lost its data."""

from match_server.store.tickets import Part
from tests.store.pool import PARTY_SECONDS, RANKED, SECOND_US, kinds
from tests.store.ranked_pool import RankedPool
from tests.store.raw_pool import Frame


def lose(ranked: RankedPool) -> None:
    ranked.lose_everything()
    ranked.register("s1", capacity=10)


def test_a_party_that_gathered_gathers_anew_with_its_first_members_time(ranked: RankedPool) -> None:
    """P4: three of four are there when Redis is emptied."""
    for player in ("ann", "bob", "cat"):
        ranked.arrive(player, "pals", 4)
    part = Part({"rating": 1500}, "pals", 4)
    seqs = {player: ranked.frames(player)[-1]["seq"] for player in ("ann", "bob", "cat")}
    lose(ranked)
    joined = {player: str(ranked.now_us() - ago * SECOND_US) for player, ago in (("cat", 5), ("ann", 15), ("bob", 10))}
    for player, since in joined.items():
        code, frames = ranked.reassert(
            player,
            seq=seqs[player],
            claimed=1,
            state="gathering",
            mode=RANKED,
            enqueued_at=since,
            part=part,
            epoch="lost",
        )
        assert (code, kinds(frames)) == ("put_back", ["party"])
        ranked.check()

    assert frames[0]["members"] == ["cat", "ann", "bob"]
    assert frames[0]["timeout_seconds"] < PARTY_SECONDS - 15
    assert ranked.arrive("dan", "pals", 4) == "queued"
    ranked.check()


def test_a_party_that_waited_comes_back_with_its_age(ranked: RankedPool) -> None:
    party = ranked.party("pals", "ann", "bob")
    seqs = {player: ranked.frames(player)[-1]["seq"] for player in party.players}
    lose(ranked)
    part = Part({"rating": 1500}, "pals", 2)

    frames: list[Frame] = []
    for player in party.players:
        _, frames = ranked.reassert(
            player,
            seq=seqs[player],
            mode=RANKED,
            enqueued_at=str(party.enqueued_at_us),
            part=part,
            claimed=1,
            epoch="lost",
        )
        ranked.check()

    assert kinds(frames) == ["queued"]
    assert kinds(ranked.frames("ann")) == ["queued"]
    (back,) = ranked.waiting().values()
    assert (back.players, back.enqueued_at_us) == (party.players, party.enqueued_at_us)


def test_who_is_missing_after_a_loss_is_missed_by_its_party(ranked: RankedPool) -> None:
    party = ranked.party("pals", "ann", "bob")
    seq = ranked.frames("ann")[-1]["seq"]
    lose(ranked)
    ranked.reassert(
        "ann",
        seq=seq,
        mode=RANKED,
        enqueued_at=str(party.enqueued_at_us),
        part=Part({"rating": 1500}, "pals", 2),
        claimed=1,
        epoch="lost",
    )

    ranked.pass_time(PARTY_SECONDS + 1)

    assert ranked.frames("ann")[-1]["reason"] == "party_timeout"


def test_a_party_that_loaded_goes_back_to_the_queue_whole(ranked: RankedPool) -> None:
    party, (cat,) = ranked.party("pals", "ann", "bob"), ranked.alone("cat")
    session = ranked.formed(party, cat)
    seqs = {player: ranked.frames(player)[-1]["seq"] for player in ("ann", "bob", "cat")}
    lose(ranked)
    parts = {player: Part({"rating": 1500}, "pals", 2) for player in ("ann", "bob")} | {"cat": Part({"rating": 1500})}

    heard = {}
    for player, part in parts.items():
        _, heard[player] = ranked.reassert(
            player,
            seq=seqs[player],
            state="loading",
            session=session,
            mode=RANKED,
            enqueued_at=str((cat if player == "cat" else party).enqueued_at_us),
            part=part,
            claimed=1,
            epoch="lost",
        )
        ranked.check()

    assert {player: kinds(frames) for player, frames in heard.items()} == {
        "ann": ["match_cancelled", "party"],
        "bob": ["match_cancelled", "queued"],
        "cat": ["match_cancelled", "queued"],
    }
    assert [ticket.players for ticket in ranked.waiting().values()] == [("ann", "bob"), ("cat",)]


def test_a_member_in_its_grace_proves_its_part_by_its_token(ranked: RankedPool) -> None:
    """P13."""
    party = ranked.party("pals", "ann", "bob")
    seq = ranked.frames("bob")[-1]["seq"]
    ranked.hold("ann")
    lose(ranked)
    part = Part({"rating": 1700}, "pals", 2)
    made_at_us = party.enqueued_at_us

    code, frames = ranked.resume("ann", connection="ann/2", mode=RANKED, made_at_us=made_at_us - SECOND_US, part=part)
    ranked.check()
    assert (code, kinds(frames), frames[0]["state"]) == ("ok", ["resumed", "party"], "gathering")
    ranked.reassert(
        "bob", seq=seq, mode=RANKED, enqueued_at=str(made_at_us), part=Part({}, "pals", 2), claimed=1, epoch="lost"
    )
    ranked.check()

    (back,) = ranked.waiting().values()
    assert back.attributes == {"ann": {"rating": 1700}, "bob": {}}
    assert back.enqueued_at_us == made_at_us - SECOND_US


def test_a_rolled_back_redis_gets_the_party_back(ranked: RankedPool) -> None:
    """Redis comes back from before the party was complete, and from before it was matched."""
    part = Part({"rating": 1500}, "pals", 2)
    ranked.arrive("ann", "pals", 2)
    incomplete = ranked.contents()
    ranked.arrive("bob", "pals", 2)
    (party,) = ranked.waiting().values()
    complete = ranked.contents()
    (cat,) = ranked.alone("cat")
    session = ranked.formed(party, cat)
    seqs = {player: ranked.frames(player)[-1]["seq"] for player in ("ann", "bob", "cat")}

    for contents, claimed in ((complete, None), (incomplete, 1)):
        ranked.put_back(contents)
        for player in party.players:
            ranked.reassert(
                player,
                seq=seqs[player],
                state="loading",
                session=session,
                mode=RANKED,
                enqueued_at=str(party.enqueued_at_us),
                part=part,
                claimed=claimed,
                epoch="lost",
            )
            ranked.check()
        assert [ticket.players for ticket in ranked.waiting().values()] == [party.players]


def test_a_record_of_another_party_is_replaced_and_that_party_left(ranked: RankedPool) -> None:
    ranked.arrive("ann", "old", 2)
    ranked.arrive("bob", "old", 2)
    ranked.frames("ann")

    code, frames = ranked.reassert(
        "ann",
        seq=2**52,
        claimed=2**52,
        state="gathering",
        mode=RANKED,
        token="of-the-new-journey",
        enqueued_at=str(ranked.now_us()),
        part=Part({}, "new", 2),
    )
    ranked.check()

    assert (code, kinds(frames), frames[-1]["party_id"]) == ("put_back", ["party"], "new")
    assert ranked.frames("bob")[-1]["player_id"] == "ann"
