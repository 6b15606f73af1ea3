"""Attributes of an enqueue: what is read, and that a refusal names the attribute and what is expected."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from match_server.matching.attributes import InvalidAttributes, read_attributes
from match_server.matching.tables import parse_modes
from tests.matching.modes_page import tables

DECLARED = parse_modes({"any": 2}, tables()["attributes"])[0].attributes
DEFAULTS = {"rating": 1500, "input": "pad", "roles": (), "loadout": ""}


def read(attributes: Any, needed: frozenset[str] = frozenset(), token: dict[str, Any] | None = None) -> Any:
    answer = read_attributes(DECLARED, needed, attributes, token=token)
    return answer.message if isinstance(answer, InvalidAttributes) else answer


def test_an_enqueue_without_attributes_has_the_defaults() -> None:
    assert read(None) == DEFAULTS
    assert read({}) == DEFAULTS


@pytest.mark.parametrize(
    ("name", "given_value", "value"),
    [
        ("rating", 1601, 1601.0),
        ("rating", 0.5, 0.5),
        ("rating", 5000, 5000),
        ("maps", ["a", "b"], ("a", "b")),
        ("latency", {"eu": 20, "us-east": 90.5}, {"eu": 20.0, "us-east": 90.5}),
        ("input", "", ""),
    ],
)
def test_values_are_read(name: str, given_value: object, value: object) -> None:
    assert read({name: given_value}) == DEFAULTS | {name: value}


def test_minus_zero_is_zero() -> None:
    assert str(read({"rating": -0.0})["rating"]) == "0.0"


@pytest.mark.parametrize(
    "rating", [float("nan"), float("inf"), 1e308, 5000.1, -1, "1500", True, None, [1500], {}, 10**400, -(10**400)]
)
def test_what_is_no_number_within_its_bounds_is_refused(rating: object) -> None:
    assert read({"rating": rating}) == "rating: expected a number from 0 to 5000"


@pytest.mark.parametrize("maps", ["dust", ["a", 1], ["a", "a"], {"a": 1}, None, [["a"]]])
def test_what_is_no_list_of_texts_is_refused(maps: object) -> None:
    assert read({"maps": maps}) == "maps: expected a list of texts, none of them twice"


@pytest.mark.parametrize(
    "latency",
    [{"eu": -1}, {"eu": 1e308}, {"eu": "20"}, {"eu": True}, {"": 20}, {"e u": 20}, {"eu\n": 20}, ["eu"], 20, None],
)
def test_what_are_no_latencies_is_refused(latency: object) -> None:
    assert read({"latency": latency}) == "latency: expected an object of regions and milliseconds from 0 to 10000"


def test_an_unknown_attribute_is_refused_by_name() -> None:
    assert read({"elo": 1}).startswith("elo: no such attribute; expected one of build, input, ")


def test_an_attribute_that_the_rules_need_must_be_there() -> None:
    needed = frozenset({"maps", "rating"})
    assert read({}, needed) == "maps: is missing; expected a list of texts, none of them twice"
    assert read({"maps": []}, needed)["maps"] == ()


@pytest.mark.parametrize("attributes", [[], "rating", 3])
def test_attributes_are_an_object(attributes: object) -> None:
    assert read(attributes) == "attributes: expected an object"


def test_attributes_are_bounded() -> None:
    assert read({f"a{number}": 1 for number in range(17)}) == "attributes: expected at most 16, not 17"
    assert read({"input": "é" * 512}) == "attributes: expected at most 1024 bytes of JSON"
    assert read({"input": "\ud800"})["input"] == "\ud800"


def test_only_the_token_says_what_is_declared_so() -> None:
    needed = frozenset({"build"})
    assert read({"build": "7"}, needed)["build"] == "7"  # players bring no tokens here
    assert read({"build": "7"}, needed, token={}) == "build: expected in the player's token alone"
    assert read({}, needed, token={}) == "build: is missing; expected a text in the player's token"
    assert read({}, needed, token={"build": 7}) == "build: expected a text"
    assert read({}, needed, token={"build": "7", "rating": 9})["rating"] == 1500
    assert read({}, needed, token={"build": "7"})["build"] == "7"


LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text()
NAMES = st.sampled_from(sorted(DECLARED)) | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_anything_is_read_or_refused_in_words(attributes: Any) -> None:
    answer = read(attributes)
    if isinstance(answer, str):
        assert ": " in answer
    else:
        json.dumps(answer, allow_nan=False)
