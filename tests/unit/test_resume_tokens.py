"""Resume tokens: only what this pool made for this player is good."""

import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from match_server.protocol import GAME_MODE_PATTERN, PLAYER_ID_PATTERN
from match_server.redis_clock import RedisClock
from match_server.resume_tokens import Proven, TokenMint, part_of

SECRET = "the pool's secret"
ALPHABET = string.ascii_letters + string.digits + "-_=~. "
FORGERIES = 10_000


def clock_of_now() -> RedisClock:
    clock = RedisClock()
    clock.set(time.time_ns() // 1000)
    return clock


def mint_with(*secrets: str, clock: RedisClock | None = None) -> TokenMint:
    mint = TokenMint(clock or clock_of_now())
    for secret in secrets:
        mint.learn(secret)
    return mint


@given(
    player_id=st.from_regex(PLAYER_ID_PATTERN, fullmatch=True),
    game_mode=st.from_regex(GAME_MODE_PATTERN, fullmatch=True),
)
def test_a_token_proves_its_player_and_names_its_mode_and_time(player_id: str, game_mode: str) -> None:
    clock = clock_of_now()
    mint = mint_with(SECRET, clock=clock)
    before_ms = clock.now_us() // 1000
    token = mint.mint(player_id, game_mode)
    proven = mint.verify(player_id, token)
    assert proven is not None
    assert proven.game_mode == game_mode
    assert before_ms <= proven.made_at_ms <= clock.now_us() // 1000
    assert 1 <= len(token) <= 512
    assert token.isascii()
    assert '"' not in token
    assert "\\" not in token  # the scripts put it into JSON as it is


def test_a_token_carries_a_part_of_a_ticket() -> None:
    """P13: with 1 KiB of attributes and the longest names it is within the limit of a message."""
    mint, rng = mint_with(SECRET), random.Random(7)  # noqa: S311 - any text
    part = "p" * 64 + ' 100 {"text":"' + "".join(rng.choices(ALPHABET, k=1000)) + '"}'
    token = mint.mint("a" * 64, "m" * 64, part)
    proven = mint.verify("a" * 64, token)
    assert proven is not None
    assert (proven.game_mode, proven.part) == ("m" * 64, part)
    assert part_of(token) == part
    assert len(token) <= 2048
    assert mint.verify("a" * 64, token[:-1]) is None


def test_no_two_tokens_are_the_same() -> None:
    mint = mint_with(SECRET)
    assert len({mint.mint("ann", "Normal_1v1") for _ in range(1000)}) == 1000


def test_ten_thousand_forged_and_foreign_tokens_are_all_refused() -> None:
    mint, stranger = mint_with(SECRET), mint_with("another secret")
    rng = random.Random(7)  # noqa: S311 - the same forgeries each time
    good = mint.mint("ann", "Normal_1v1")

    def flip() -> str:
        place = rng.randrange(len(good))
        return good[:place] + rng.choice([c for c in ALPHABET if c != good[place]]) + good[place + 1 :]

    def cut() -> str:
        return good[: rng.randrange(len(good))]

    def grow() -> str:
        place = rng.randrange(len(good) + 1)
        return good[:place] + rng.choice(ALPHABET) + good[place:]

    def noise() -> str:
        return "".join(rng.choices(ALPHABET, k=rng.randrange(80)))

    def other_mode() -> str:
        return good.replace("Normal_1v1", rng.choice(["Ranked", "", "Normal_1v1~0"]))

    def foreign() -> str:
        return stranger.mint("ann", "Normal_1v1")

    def another_players() -> str:
        return mint.mint(rng.choice(["bob", "an", "ann_", "Ann"]), "Normal_1v1")

    def transplant() -> str:
        return good.rpartition("~")[0] + "~" + foreign().rpartition("~")[2]

    makers = [flip, cut, grow, noise, other_mode, foreign, another_players, transplant]
    for number in range(FORGERIES):
        forged = makers[number % len(makers)]()
        assert mint.verify("ann", forged) is None, forged
    assert mint.verify("ann", good) is not None


def test_the_boundary_between_player_and_token_cannot_be_moved() -> None:
    mint = mint_with(SECRET)
    token = mint.mint("ann", "Normal_1v1")
    mode, rest = token.split("~", 1)
    assert mint.verify(f"ann~{mode}", rest) is None
    assert mint.verify("", f"ann~{token}") is None


@given(player_id=st.text(max_size=20), token=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_nothing_that_may_come_makes_it_raise(player_id: str, token: str) -> None:
    assert mint_with(SECRET).verify(player_id.encode("utf-8", "ignore").decode(), token) is None


def test_a_token_tells_the_time_of_redis_whatever_the_nodes_own_clock_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = RedisClock()
    mint = TokenMint(clock)
    mint.learn(SECRET)
    assert not mint.ready, "it knows no time yet"
    clock.set(5_000_000_000)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    proven = mint.verify("ann", mint.mint("ann", "Normal_1v1"))
    assert proven is not None
    assert 5_000_000 <= proven.made_at_ms < 5_060_000


def test_a_token_of_a_usual_mode_is_short_enough_for_a_packed_record() -> None:
    assert len(mint_with(SECRET).mint("ann", "Ranked_Teams_5v5")) <= 64


def test_before_the_secret_is_known_nothing_is_minted_or_good() -> None:
    mint = mint_with()
    assert not mint.ready
    with pytest.raises(RuntimeError):
        mint.mint("ann", "Normal_1v1")
    assert mint.verify("ann", mint_with(SECRET).mint("ann", "Normal_1v1")) is None
    assert mint.verify("ann", mint_with(mint.secret).mint("ann", "Normal_1v1")) is None


def test_every_node_proposes_a_secret_of_its_own() -> None:
    assert mint_with().secret != mint_with().secret


def test_tokens_of_another_node_of_the_pool_are_good() -> None:
    token = mint_with(SECRET).mint("ann", "Normal_1v1")
    assert isinstance(mint_with(SECRET).verify("ann", token), Proven)


def test_after_redis_lost_the_secret_tokens_signed_with_it_stay_good() -> None:
    mint = mint_with(SECRET)
    old = mint.mint("ann", "Normal_1v1")
    assert mint.secret == SECRET  # the one to propose again
    mint.learn("the new secret")
    mint.learn("the new secret")
    new = mint.mint("ann", "Normal_1v1")
    assert mint.verify("ann", old)
    assert mint.verify("ann", new)
    assert mint_with(SECRET).verify("ann", new) is None


def test_secrets_of_long_ago_are_forgotten() -> None:
    mint = mint_with(SECRET)
    old = mint.mint("ann", "Normal_1v1")
    for number in range(3):
        mint.learn(f"secret {number}")
    assert mint.verify("ann", old) is None
