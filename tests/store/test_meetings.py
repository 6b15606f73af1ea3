"""meetings: whom players have had in their last matches, for the rule `rematch`."""

from itertools import count

from tests.store.pool import RANKED
from tests.store.ranked_pool import RankedPool

OPERATIONS = count(1)


def meet(ranked: RankedPool, *players: str, keep: float = 100, found: bool = True) -> None:
    """These players have had a match, or one that was cancelled while it loaded."""
    for player in players:
        ranked.arrive(player, operation=next(OPERATIONS))
    waiting = ranked.waiting()
    ranked.formed(*(waiting[ranked.ticket_of(player)] for player in players), remember=keep)
    if not found:
        ranked.leave(players[0])
        for player in players[1:]:
            ranked.leave(player)
        return
    order = [ranked.ready(player).order for player in players][-1]
    assert order is not None
    assert ranked.confirm(order).code == "matched"


def met(ranked: RankedPool, player: str) -> list[str]:
    return [meeting.player_id for meeting in ranked.do(ranked.tickets.meetings([player]))[player]]


def test_players_of_a_match_have_met(ranked: RankedPool) -> None:
    ranked.register("s1", capacity=9)
    meet(ranked, "ann", "bob")
    before = ranked.now_us() / 1_000_000
    found = ranked.do(ranked.tickets.meetings(["ann", "bob", "cat"]))
    assert {player: [m.player_id for m in of] for player, of in found.items()} == {
        "ann": ["bob"],
        "bob": ["ann"],
        "cat": [],
    }
    assert 0 <= before - found["ann"][0].at < 5
    assert 90 < ranked.redis("TTL", f"{ranked.prefix}met:ann") <= 100


def test_a_match_that_was_cancelled_is_no_meeting(ranked: RankedPool) -> None:
    ranked.register("s1", capacity=9)
    meet(ranked, "ann", "bob", found=False)
    assert met(ranked, "ann") == met(ranked, "bob") == []


def test_where_no_rule_asks_nobody_is_remembered(ranked: RankedPool) -> None:
    ranked.register("s1", capacity=9)
    meet(ranked, "ann", "bob", keep=0)
    assert met(ranked, "ann") == []
    assert not [key for key in ranked.key_names() if "met:" in key]


def test_of_many_the_last_fifty_are_remembered(ranked: RankedPool) -> None:
    ranked.register("s1", capacity=100)
    for number in range(52):
        meet(ranked, "ann", f"p{number}")
        ranked.move_clock(1)
    assert met(ranked, "ann") == [f"p{number}" for number in range(2, 52)]


def test_who_meets_again_is_remembered_once_from_then_on(ranked: RankedPool) -> None:
    ranked.register("s1", capacity=9)
    meet(ranked, "ann", "bob")
    ranked.move_clock(50)
    meet(ranked, "ann", "bob")
    (meeting,) = ranked.do(ranked.tickets.meetings(["ann"]))["ann"]
    assert 0 <= ranked.now_us() / 1_000_000 - meeting.at < 5
    assert ranked.queue(RANKED).waiting == 0
