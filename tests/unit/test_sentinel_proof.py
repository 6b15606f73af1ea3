"""For how long what sentinels say proves that no other server is the primary."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from match_server.store.primary import Address
from match_server.store.sentinel import View, proof_seconds

VIEW = View(
    address=Address("10.0.0.1", 6379),
    epoch=7,
    up=True,
    down_after_seconds=5.0,
    heard_seconds_ago=0.5,
    quorum=2,
    sentinels=3,
)
DOWN = replace(VIEW, up=False)


def test_the_reply_of_a_sentinel_is_read() -> None:
    reply = (
        "name eu ip 10.0.0.1 port 6379 flags master last-ok-ping-reply 500 down-after-milliseconds 5000"
        " config-epoch 7 num-other-sentinels 2 quorum 2"
    )
    assert View.parse(reply.encode().split()) == VIEW


@pytest.mark.parametrize("flags", ["master,s_down", "master,disconnected", "master,failover_in_progress", "slave"])
def test_only_a_primary_that_a_sentinel_reaches_is_up(flags: str) -> None:
    reply = (
        f"ip h port 1 flags {flags} last-ok-ping-reply 0 down-after-milliseconds 5000 config-epoch 7"
        " num-other-sentinels 2 quorum 2"
    )
    assert not View.parse(reply.encode().split()).up


@pytest.mark.parametrize(
    ("views", "seconds"),
    [
        ([VIEW, VIEW, VIEW], 4.5),
        ([VIEW, VIEW], 4.5),
        ([VIEW], 0.0),  # the two others may have begun a failover
        ([VIEW, DOWN, DOWN], 0.0),
        ([VIEW, replace(VIEW, heard_seconds_ago=3.0)], 2.0),
        ([VIEW, VIEW, replace(VIEW, heard_seconds_ago=3.0)], 4.5),
        ([VIEW, replace(VIEW, heard_seconds_ago=6.0)], 0.0),
        ([VIEW, replace(VIEW, epoch=6)], 0.0),
        ([VIEW, replace(VIEW, address=Address("10.0.0.2", 6379))], 0.0),
    ],
)
def test_the_proof_lasts_until_a_quorum_could_miss_the_primary(views: list[View], seconds: float) -> None:
    assert proof_seconds(views, VIEW) == pytest.approx(seconds)


@given(
    quorum=st.integers(1, 5),
    heard=st.lists(st.none() | st.floats(0, 6), min_size=5, max_size=5),
    asked=st.sets(st.integers(0, 4)),
)
def test_no_failover_can_begin_before_the_proof_ends(quorum: int, heard: list[float | None], asked: set[int]) -> None:
    """Each of five sentinels has heard of the primary so long ago, or misses it already (None); only some are asked."""
    views = [
        replace(VIEW, up=ago is not None, heard_seconds_ago=ago or 0.0, quorum=quorum, sentinels=5) for ago in heard
    ]
    misses_at = sorted(max(0.0, 5.0 - ago) if ago is not None else 0.0 for ago in heard)
    failover_from = misses_at[quorum - 1]  # if nobody hears of the primary again
    proof = proof_seconds([views[number] for number in asked], views[0])
    assert proof <= failover_from
