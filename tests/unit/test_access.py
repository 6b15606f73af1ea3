"""Who may connect."""

import base64
import json
import time
import warnings
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter
from starlette.datastructures import Headers, QueryParams
from structlog.typing import EventDict

from match_server.config import Network, Networks
from match_server.web.access import PlayerTokens, bearer, client_address, key_matches, origin_allowed

KEY = "k" * 32
NO_QUERY = QueryParams()
_NETWORKS: TypeAdapter[tuple[Network, ...]] = TypeAdapter(Networks)


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in pairs])


def authorized(token: str, scheme: str = "Bearer") -> Headers:
    return headers(("Authorization", f"{scheme} {token}"))


# --- keys ---


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Basic abc", ""),
        ("Bearer", ""),
        ("abc", ""),
        ("", ""),
    ],
)
def test_the_bearer_token_is_read(value: str, token: str) -> None:
    assert bearer(headers(("Authorization", value))) == token


def test_without_a_header_there_is_no_token() -> None:
    assert bearer(headers()) == ""


def test_only_the_key_itself_matches() -> None:
    key = SecretStr("secret")
    assert key_matches(authorized("secret"), key)
    for wrong in ("", "secre", "secrets", "Secret", "secret\u00e9", "sec ret"):
        assert not key_matches(authorized(wrong), key)
    assert not key_matches(authorized("secret", scheme="Basic"), key)
    assert not key_matches(headers(), key)


def test_an_empty_key_asks_for_none() -> None:
    assert key_matches(headers(), SecretStr(""))
    assert key_matches(authorized("anything"), SecretStr(""))


# --- players' tokens ---


def token(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": "ann"} | claims, key, algorithm=algorithm)


def unsigned(header: Any, payload: Any, signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload)]
    return ".".join([*parts, signature])


def subject(made: str, key: str = KEY) -> str | None:
    return PlayerTokens(SecretStr(key)).subject(authorized(made), NO_QUERY)


def test_a_valid_token_names_its_player() -> None:
    assert subject(token()) == "ann"
    assert subject(token(exp=time.time() + 60, name="Ann", roles=["x"])) == "ann"
    assert subject(token(iat=time.time() + 5)) == "ann", "the issuer's clock may be ahead"


def test_a_browser_may_bring_it_in_the_query() -> None:
    tokens = PlayerTokens(SecretStr(KEY))
    assert tokens.subject(headers(), QueryParams({"token": token()})) == "ann"
    assert tokens.subject(authorized(token(sub="bob")), QueryParams({"token": token()})) == "bob"


def test_without_a_token_there_is_no_player() -> None:
    assert PlayerTokens(SecretStr(KEY)).subject(headers(), NO_QUERY) is None


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
    tokens = PlayerTokens(SecretStr(KEY))
    assert tokens.subject(headers(("Authorization", "Bearer " + text)), NO_QUERY) is None
    assert tokens.subject(headers(), QueryParams({"token": text})) is None


def test_tokens_are_required_only_with_a_key() -> None:
    assert PlayerTokens(SecretStr(KEY)).required
    assert not PlayerTokens(SecretStr("")).required


def test_a_short_key_works_and_is_warned_of_once_at_the_start(logs: list[EventDict]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = token(key="short")
        assert subject(made, key="short") == "ann"
    assert [(line["event"], line["bytes"]) for line in logs] == [("short_player_key", 5)]
    assert "short" not in {value for line in logs for value in line.values()}


# --- origins ---


@pytest.mark.parametrize(
    ("origin", "allowed", "expected"),
    [
        (None, (), True),
        ("https://game.example", (), True),
        ("http://game.example", (), True),
        ("https://game.example:8443", (), False),
        ("https://evil.example", (), False),
        ("https://evil.example", ("https://evil.example",), True),
        ("https://evil.example", ("https://other.example", "*"), True),
        ("https://evil.example", ("https://evil.example:443",), False),
        ("http://evil.example", ("https://evil.example",), False),
        ("https://game.example.evil.example", (), False),
        ("https://game.example@evil.example", (), False),
        ("null", (), False),
        ("", (), False),
        ("game.example", (), False),
    ],
)
def test_a_page_may_connect_from_the_same_host_or_a_configured_origin(
    origin: str | None, allowed: tuple[str, ...], expected: bool
) -> None:
    sent = [("Host", "game.example")] + ([("Origin", origin)] if origin is not None else [])
    assert origin_allowed(headers(*sent), allowed) is expected


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://]", "http://[x]", "http://a\u2100b"])
def test_an_origin_that_is_no_url_is_refused_not_a_crash(origin: str) -> None:
    sent = Headers(raw=[(b"host", b"game.example"), (b"origin", origin.encode())])
    assert origin_allowed(sent, ()) is False


def test_a_page_is_refused_when_the_request_names_no_host() -> None:
    assert not origin_allowed(headers(("Origin", "https://game.example")), ())


# --- proxies ---

PROXY, PLAYER = "10.0.0.1", "203.0.113.9"


def address(peer: str, *forwarded: str, trusted: str = "10.0.0.0/8,::1/128") -> str:
    sent = headers(*(("X-Forwarded-For", value) for value in forwarded))
    return client_address(peer, sent, _NETWORKS.validate_python(trusted))


def test_what_an_untrusted_peer_says_of_itself_is_not_believed() -> None:
    assert address(PLAYER, "10.9.9.9") == PLAYER
    assert address(PLAYER, "1.1.1.1, 2.2.2.2") == PLAYER
    assert address(PROXY, "1.1.1.1", trusted="") == PROXY


def test_a_trusted_proxy_is_believed_about_the_hop_before_it_alone() -> None:
    assert address(PROXY, PLAYER) == PLAYER
    assert address(PROXY, f"1.1.1.1, {PLAYER}") == PLAYER  # 1.1.1.1 is what the player made up
    assert address(PROXY) == PROXY


def test_a_chain_of_trusted_proxies_is_followed_to_the_first_that_is_not() -> None:
    assert address(PROXY, f"{PLAYER}, 10.0.0.3, 10.0.0.2") == PLAYER
    assert address(PROXY, PLAYER, "10.0.0.3", "10.0.0.2") == PLAYER  # one header each
    assert address("::1", f"6.6.6.6,{PLAYER} , 10.0.0.2") == PLAYER


def test_when_everybody_is_trusted_the_farthest_is_the_client() -> None:
    assert address(PROXY, "10.0.0.4, 10.0.0.3") == "10.0.0.4"


@pytest.mark.parametrize("rubbish", ["unknown", "_hidden", "not an address", "1.2.3.4:5678", "[::1]:80"])
def test_a_hop_that_is_no_address_ends_the_chain(rubbish: str) -> None:
    assert address(PROXY, f"10.0.0.5, {rubbish}") == rubbish


def test_a_socket_without_an_address_is_just_that() -> None:
    assert address("", "1.1.1.1") == ""
