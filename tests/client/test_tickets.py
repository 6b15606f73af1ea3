"""What players bring: how the command line says it, and what is drawn."""

import random

import pytest

from test_client.behaviours import BEHAVIOURS
from test_client.swarm import behave_in_party, enumerate_parties
from test_client.tickets import deal_parties, parse_attribute, parse_latencies, parse_parties


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secret


def test_attributes_are_drawn_from_a_distribution_or_a_choice() -> None:
    name, rating = parse_attribute("rating=normal:1500:350")
    drawn = [rating.sample(chance(seed)) for seed in range(50)]
    assert (name, str(rating)) == ("rating", "normal:1500:350")
    assert len(set(drawn)) > 40
    name, pad = parse_attribute("input=choice:pad:mouse")
    assert {pad.sample(chance(seed)) for seed in range(20)} == {"pad", "mouse"}
    assert (name, str(pad)) == ("input", "choice:pad:mouse")


def test_latencies_lie_between_their_limits() -> None:
    latencies = parse_latencies("eu=20:60, us=90:140")
    assert latencies is not None
    for seed in range(20):
        drawn = latencies.sample(chance(seed))
        assert 20 <= drawn["eu"] <= 60
        assert 90 <= drawn["us"] <= 140
    assert parse_latencies("") is None


def test_parties_make_up_all_players() -> None:
    sizes = deal_parties(parse_parties("1:60,2:30,3:10"), 100, chance(1))
    assert sum(sizes) == 100
    assert {1, 2, 3} == set(sizes)
    assert list(enumerate_parties([1, 3, 2])) == [(0, 1), (1, 3), (4, 2)]


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_attribute, "rating"),
        (parse_attribute, "rating=gauss:1"),
        (parse_latencies, "eu=60:20"),
        (parse_latencies, "eu=20"),
        (parse_latencies, "eu"),
        (parse_parties, "0:1"),
        (parse_parties, "2:-1"),
        (parse_parties, "two:1"),
        (parse_parties, "2:0"),
        (parse_parties, ""),
    ],
)
def test_what_is_wrong_is_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="expected"):
        parse(text)


def test_behaviours_that_need_mates_have_some() -> None:
    assert behave_in_party(["leaves-party"]) == behave_in_party(["gathers-late"]) == ["normal"]
    assert behave_in_party(["gathers-late", "gathers-late"]) == ["normal", "gathers-late"]
    assert behave_in_party(["gathers-late", "never-loads"]) == ["gathers-late", "never-loads"]
    assert all(behave_in_party([name, "normal"]) == [name, "normal"] for name in BEHAVIOURS)
