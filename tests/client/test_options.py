# ruff: noqa: S311 - chance, not secrets

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_client.behaviours import BEHAVIOURS
from test_client.options import (
    arrivals,
    deal,
    parse_arrival,
    parse_game_mode,
    parse_mix,
    parse_prefix,
    parse_urls,
)

MIXES = st.dictionaries(st.sampled_from(sorted(BEHAVIOURS)), st.floats(0.01, 100), min_size=1)


def test_reads_several_addresses() -> None:
    assert parse_urls("a:1, b:2") == ("ws://a:1/ws/", "ws://b:2/ws/")


def test_reads_a_mix() -> None:
    assert parse_mix("normal=8, drops-link=1.5,never-loads") == {"normal": 8, "drops-link": 1.5, "never-loads": 1}


@pytest.mark.parametrize("text", ["", "nobody=1", "normal=x=1", "normal=-1", "normal=nan", "normal=0"])
def test_refuses_what_is_no_mix(text: str) -> None:
    with pytest.raises(ValueError, match=r"behaviour|weight"):
        parse_mix(text)


@given(mix=MIXES, players=st.integers(1, 200), seed=st.integers())
def test_deals_by_weight_to_within_one_player(mix: dict[str, float], players: int, seed: int) -> None:
    hand = deal(mix, players, Random(seed))
    assert len(hand) == players
    assert hand == deal(mix, players, Random(seed))
    for name, count in Counter(hand).items():
        assert abs(count - players * mix[name] / sum(mix.values())) < 1 + 1e-6


def test_arrives_at_once_or_at_a_rate() -> None:
    assert list(arrivals(3, None)) == [0, 0, 0]
    assert list(arrivals(3, 2)) == [0, 0.5, 1]


def test_reads_an_arrival() -> None:
    assert parse_arrival("burst") is None
    assert parse_arrival("100") == 100
    for text in ("", "slowly", "0", "-1", "inf"):
        with pytest.raises(ValueError, match="players per second"):
            parse_arrival(text)


def test_checks_names_as_the_service_does() -> None:
    assert parse_game_mode("Normal_1v1") == "Normal_1v1"
    assert parse_prefix("bot@eu:1") == "bot@eu:1"
    with pytest.raises(ValueError, match="64"):
        parse_game_mode("no such mode!")
    for text in ("", "a b", "x" * 51):
        with pytest.raises(ValueError, match="50"):
            parse_prefix(text)
