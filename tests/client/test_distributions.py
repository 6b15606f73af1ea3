# ruff: noqa: S311 - chance, not secrets

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_client.distributions import Distribution, parse_distribution

SECONDS = st.floats(min_value=0, max_value=1000)
DISTRIBUTIONS = st.one_of(
    SECONDS.map(lambda seconds: Distribution("fixed", (seconds,))),
    st.tuples(SECONDS, SECONDS).map(lambda pair: Distribution("uniform", tuple(sorted(pair)))),
    SECONDS.map(lambda mean: Distribution("exponential", (mean,))),
    st.tuples(SECONDS, SECONDS).map(lambda pair: Distribution("normal", pair)),
)


@pytest.mark.parametrize("text", ["0.2", "0", "uniform:0.1:0.5", "exponential:0.3", "normal:0.3:0.1"])
def test_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_distribution(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-1",
        "nan",
        "inf",
        "uniform:1",
        "uniform:2:1",
        "uniform:a:b",
        "normal:1:-1",
        "gamma:1:2",
        "1:2",
        "fixed:",
    ],
)
def test_refuses_what_is_no_distribution_and_repeats_it(text: str) -> None:
    with pytest.raises(ValueError, match=repr(text)):
        parse_distribution(text)


@given(distribution=DISTRIBUTIONS, seed=st.integers())
def test_is_never_negative_and_repeats_by_its_seed(distribution: Distribution, seed: int) -> None:
    first = distribution.sample(Random(seed))
    assert first >= 0
    assert distribution.sample(Random(seed)) == first


@pytest.mark.parametrize(
    ("text", "mean"), [("0.2", 0.2), ("uniform:0.1:0.5", 0.3), ("exponential:0.3", 0.3), ("normal:0.3:0.1", 0.3)]
)
def test_has_the_mean_that_it_says(text: str, mean: float) -> None:
    rng, distribution = Random(1), parse_distribution(text)
    samples = [distribution.sample(rng) for _ in range(5000)]
    assert sum(samples) / len(samples) == pytest.approx(mean, rel=0.05)


def test_a_misspelt_distribution_is_named() -> None:
    with pytest.raises(ValueError, match=r"^'nomal:1500:350': .* 'nomal'; did you mean normal\?$"):
        parse_distribution("nomal:1500:350")
    with pytest.raises(ValueError, match=r"there is no distribution 'gamma'; expected a number, uniform:LOW:HIGH, "):
        parse_distribution("gamma:1:2")
    with pytest.raises(ValueError, match=r"^'normal': expected a number, uniform"):
        parse_distribution("normal")
