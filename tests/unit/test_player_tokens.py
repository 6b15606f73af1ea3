"""Players' tokens: with a shared key, and with keys that their issuer publishes."""

import asyncio
import base64
import json
import time
import warnings
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.datastructures import Headers, QueryParams
from structlog.typing import EventDict

from match_server.actors.mailbox import Identity
from match_server.web.player_tokens import NotAuthenticated, PlayerTokens

KEY = "k" * 32
NO_QUERY = QueryParams()


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in pairs])


def authorized(token: str) -> Headers:
    return headers(("Authorization", f"Bearer {token}"))


def token(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": "ann"} | claims, key, algorithm=algorithm)


def unsigned(header: Any, payload: Any, signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload)]
    return ".".join([*parts, signature])


def tokens_of(key: str = KEY, *, issuer: str = "", audience: str = "") -> PlayerTokens:
    return PlayerTokens(key=SecretStr(key), issuer=issuer, audience=audience)


def identity(
    made: str = "", *, tokens: PlayerTokens | None = None, query: QueryParams = NO_QUERY, sent: Headers | None = None
) -> Identity | NotAuthenticated:
    return asyncio.run((tokens or tokens_of()).identity(authorized(made) if sent is None else sent, query))


def subject(made: str, key: str = KEY) -> str | None:
    found = identity(made, tokens=tokens_of(key))
    return found.player_id if isinstance(found, Identity) and not found.expired else None


def test_a_valid_token_names_its_player() -> None:
    assert subject(token()) == "ann"
    assert subject(token(exp=time.time() + 60, name="Ann", roles=["x"])) == "ann"
    assert subject(token(iat=time.time() + 5)) == "ann", "the issuer's clock may be ahead"


def test_a_token_may_say_attributes_and_a_party() -> None:
    made = token(attributes={"build": "1.2"}, party_id="pals")
    assert identity(made) == Identity("ann", {"build": "1.2"}, "pals")
    odd = token(attributes=["build"], party_id=7)
    assert identity(odd) == Identity("ann")


def test_a_browser_may_bring_it_in_the_query() -> None:
    query = QueryParams({"token": token()})
    assert identity(sent=headers(), query=query) == Identity("ann")
    assert identity(token(sub="bob"), query=query) == Identity("bob")


def test_without_a_token_there_is_no_player() -> None:
    assert identity(sent=headers()) == NotAuthenticated("a player token is required")


@pytest.mark.parametrize(
    "made",
    [
        token(key="x" * 32),
        token(exp=time.time() - 1),
        token(exp="tomorrow"),
        token(nbf=time.time() + 86_400),
        token(key="k" * 64, algorithm="HS512"),
        token(key=KEY + "k" * 16, algorithm="HS384"),
        token(sub=""),
        token(sub="a b"),
        token(sub="#state"),
        token(sub="ann\n"),
        token(sub="a" * 65),
        token(aud="another service"),
        token() + "x",
        token()[:-4],
        unsigned({"alg": "none"}, {"sub": "ann"}),
        unsigned({"alg": "None"}, {"sub": "ann"}),
        unsigned({"alg": "none", "typ": "JWT"}, {"sub": "ann"}, token().rpartition(".")[2]),
        unsigned({"alg": "HS256"}, {"sub": "ann"}),
        unsigned({"alg": "RS256"}, {"sub": "ann"}, "c2ln"),
        unsigned({"alg": ["HS256"]}, {"sub": "ann"}, "c2ln"),
        unsigned([], {"sub": "ann"}, "c2ln"),
        unsigned({}, {"sub": "ann"}, "c2ln"),
        "[" * 6000,
        base64.urlsafe_b64encode(b"[" * 6000).decode() + ".e30.c2ln",
        "..",
        ".",
        "",
        "\u00e9.\u00e9.\u00e9",
    ],
)
def test_a_token_that_is_not_valid_names_nobody(made: str) -> None:
    assert subject(made) is None


@pytest.mark.parametrize("claims", [{}, {"sub": None}, {"sub": 7}, {"sub": ["ann"]}, {"name": "ann"}])
def test_a_token_without_a_player_names_nobody(claims: dict[str, Any]) -> None:
    """PyJWT does not sign such tokens, other libraries do."""
    signer = jwt.PyJWS()
    assert subject(signer.encode(json.dumps(claims).encode(), KEY, algorithm="HS256")) is None


@pytest.mark.parametrize("payload", [b"[]", b'"ann"', b"null", b"", b"\xff", b'{"sub": "ann", "exp": 1e999}'])
def test_a_signed_payload_that_is_none_names_nobody(payload: bytes) -> None:
    assert subject(jwt.PyJWS().encode(payload, KEY, algorithm="HS256")) is None


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_nothing_that_a_header_may_hold_makes_it_raise(text: str) -> None:
    assert isinstance(identity(sent=headers(("Authorization", "Bearer " + text))), NotAuthenticated)
    assert isinstance(identity(sent=headers(), query=QueryParams({"token": text})), NotAuthenticated)


def test_tokens_are_required_only_with_a_key() -> None:
    assert tokens_of().required
    assert not tokens_of("").required


def test_a_short_key_works_and_is_warned_of_once_at_the_start(logs: list[EventDict]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = token(key="short")
        assert subject(made, key="short") == "ann"
    assert [(line["event"], line["bytes"]) for line in logs] == [("short_player_key", 5)]
    assert "short" not in {value for line in logs for value in line.values()}


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (token(key="x" * 32), "the token's signature is wrong"),
        (token(nbf=time.time() + 86_400), "the token is not valid yet"),
        (token(sub="a b"), "the token's sub is not a player_id"),
        (jwt.PyJWS().encode(b"{}", KEY, algorithm="HS256"), "the token has no sub"),
        (jwt.PyJWS().encode(b'{"sub": 7}', KEY, algorithm="HS256"), "the token's sub is not a player_id"),
        (token(key="k" * 64, algorithm="HS512"), "the token's alg is not that of the key"),
        (token(aud="another service"), "the token's aud is not this service"),
        ("rubbish", "the token is not a JSON web token"),
    ],
)
def test_a_refusal_says_why(made: str, reason: str) -> None:
    assert identity(made) == NotAuthenticated(reason)


def test_a_token_that_is_good_but_for_its_age_names_its_player_as_expired() -> None:
    assert identity(token(exp=time.time() - 3600)) == Identity("ann", expired=True)
    assert identity(token(exp=time.time() - 3600, key="x" * 32)) == NotAuthenticated("the token's signature is wrong")
    assert identity(token(exp=time.time() - 3600, sub="a b")) == NotAuthenticated("the token's sub is not a player_id")


def test_issuer_and_audience_are_checked_where_they_are_set() -> None:
    tokens = tokens_of(issuer="https://id.example", audience="match")
    good: dict[str, Any] = {"iss": "https://id.example", "aud": ["shop", "match"]}
    assert identity(token(**good), tokens=tokens) == Identity("ann")
    for wrong, reason in (
        ({**good, "iss": "https://evil.example"}, "the token's iss is not the issuer that this service knows"),
        ({**good, "aud": "shop"}, "the token's aud is not this service"),
        ({"aud": "match"}, "the token has no iss"),
        ({"iss": "https://id.example"}, "the token has no aud"),
    ):
        assert identity(token(**wrong), tokens=tokens) == NotAuthenticated(reason)
