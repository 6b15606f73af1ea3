"""Who may connect."""

import pytest
from pydantic import SecretStr, TypeAdapter
from starlette.datastructures import Headers, QueryParams

from match_server.setting_types import Network, Networks
from match_server.web.access import bearer, client_address, key_matches, origin_allowed

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
        ("http://localhost:3000", ("http://localhost:*",), True),
        ("http://localhost", ("http://localhost:*",), True),
        ("https://localhost:3000", ("http://localhost:*",), False),
        ("http://localhost.evil.example:3000", ("http://localhost:*",), False),
        ("http://[::1]:3000", ("http://[::1]:*",), True),
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
