"""Values of settings: the defaults, what is read, and that one readable line names each wrong one."""

import contextlib
import ipaddress
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from match_server.config import describe_settings, is_loopback, load_settings, variable
from match_server.errors import SettingsError
from match_server.matching.modes import GameMode
from tests.unit.settings_refusal import refusal

pytestmark = pytest.mark.usefixtures("empty_environment")


# --- the contract ---


def test_with_no_settings_at_all_it_starts_on_an_embedded_redis() -> None:
    loaded = load_settings()
    assert loaded.redis_url == "embedded://"
    assert (loaded.host, loaded.port) == ("127.0.0.1", 8080)
    assert loaded.game_modes == (GameMode("Normal_1v1", 2),)


def test_the_defaults_are_the_contracts() -> None:
    described = {name: default for name, default, _ in describe_settings()}
    contract = {
        "MATCH_HOST": "127.0.0.1",
        "MATCH_PORT": "8080",
        "MATCH_REDIS_URL": "embedded://",
        "MATCH_KEY_PREFIX": "",
        "MATCH_GAME_MODES": "Normal_1v1:2",
        "MATCH_CONFIG": "",
        "MATCH_MATCH_ON_ENQUEUE": "true",
        "MATCH_SERVER_NETWORKS": "127.0.0.0/8,::1/128",
        "MATCH_SERVER_KEY": "",
        "MATCH_ADMIN_KEY": "",
        "MATCH_PLAYER_KEY": "",
        "MATCH_ALLOWED_ORIGINS": "",
        "MATCH_TRUSTED_PROXIES": "",
    }
    assert {name: described[name] for name in contract} == contract
    numbers = {
        "MATCH_TICK_SECONDS": 0.1,
        "MATCH_QUEUE_TIMEOUT_SECONDS": 0,
        "MATCH_LOADING_TIMEOUT_SECONDS": 60,
        "MATCH_RECONNECT_GRACE_SECONDS": 5,
        "MATCH_PING_INTERVAL_SECONDS": 5,
        "MATCH_PING_TIMEOUT_SECONDS": 5,
        "MATCH_NODE_LEASE_SECONDS": 5,
        "MATCH_SERVER_LEASE_SECONDS": 15,
        "MATCH_ALLOCATION_TIMEOUT_SECONDS": 3,
        "MATCH_ALLOCATION_ATTEMPTS": 5,
        "MATCH_ALLOCATION_WAIT_SECONDS": 30,
        "MATCH_MAX_CONNECTIONS": 20_000,
        "MATCH_MAX_CONNECTIONS_PER_ADDRESS": 0,
        "MATCH_MESSAGES_PER_SECOND": 20,
        "MATCH_STOP_SECONDS": 10,
    }
    assert {name: float(described[name]) for name in numbers} == numbers


def test_every_setting_says_what_it_means() -> None:
    for name, _, meaning in describe_settings():
        assert name.startswith("MATCH_")
        assert len(meaning) > 10, name


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1  # type: ignore[misc]  # that is the test


# --- values ---


@pytest.mark.parametrize(
    ("text", "modes"),
    [
        ("Duel:2", [("Duel", 2)]),
        (" Duel:2 , Trio:3, ", [("Duel", 2), ("Trio", 3)]),
        ("a.b-c_D9:100", [("a.b-c_D9", 100)]),
    ],
)
def test_game_modes_are_read(text: str, modes: list[tuple[str, int]]) -> None:
    assert [(mode.name, mode.players) for mode in load_settings(game_modes=text).game_modes] == modes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected name:players"),
        (",", "expected name:players"),
        ("Duel", "'Duel': expected name:players"),
        ("Duel:", "Duel: expected 2 to 100 players"),
        (":2", "'2': expected name:players"),
        ("Duel:1", "Duel: expected 2 to 100 players"),
        ("Duel:101", "Duel: expected 2 to 100 players"),
        ("Duel:-2", "Duel: expected 2 to 100 players"),
        ("Duel:2.0", "Duel: expected 2 to 100 players"),
        ("Duel:two", "Duel: expected 2 to 100 players"),
        ("Duel:2,Duel:3", "Duel: named twice"),
        ("a b:2", "'a b': expected name:players"),
        ("a:b:2", "'a:b': expected name:players"),
        ("a" * 65 + ":2", "expected name:players"),
    ],
)
def test_wrong_game_modes_are_refused_by_name(text: str, told: str) -> None:
    line = refusal(game_modes=text)
    assert line.startswith("MATCH_GAME_MODES: ")
    assert told in line
    assert "\n" not in line


def test_networks_are_read_and_host_bits_are_forgiven() -> None:
    loaded = load_settings(server_networks="10.1.2.3/8, ::1", trusted_proxies="192.0.2.7")
    assert loaded.server_networks == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))
    assert loaded.trusted_proxies == (ipaddress.ip_network("192.0.2.7/32"),)
    assert load_settings(server_networks="").server_networks == ()


def test_origins_are_separated_by_commas() -> None:
    loaded = load_settings(allowed_origins="https://a.example, https://b.example:8443,")
    assert loaded.allowed_origins == ("https://a.example", "https://b.example:8443")


@pytest.mark.parametrize(
    "url",
    ["embedded://", "embedded:///var/lib/x", "redis://r:6379/1", "rediss://r", "unix:///r", "redis+sentinel://a,b/s"],
)
def test_redis_urls_that_can_be_used(url: str) -> None:
    assert load_settings(redis_url=url).redis_url == url


def test_a_cluster_wants_a_hash_tag_in_the_prefix() -> None:
    assert load_settings(redis_url="redis+cluster://a", key_prefix="{eu}:").key_prefix == "{eu}:"
    for prefix in ("", "eu:"):
        line = refusal(redis_url="redis+cluster://a", key_prefix=prefix)
        assert line.startswith("MATCH_KEY_PREFIX: must hold a hash tag in a cluster, such as {eu}:")
        assert "\n" not in line


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "redis:localhost",
        "redis+sentinel://a,b",
        "redis+cluster://a/1",
        "redis://localhost:port",
        "redis://localhost:99999",
        "redis://localhost?socket_timeout=soon",
        "redis://localhost/foo",
        "rediss://localhost/1/2",
    ],
)
def test_redis_urls_that_cannot_be_used_are_refused_at_the_start(url: str) -> None:
    line = refusal(redis_url=url)
    assert line.startswith("MATCH_REDIS_URL: ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", ""),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("port", ""),
        ("key_prefix", "a b"),
        ("key_prefix", "é"),
        ("key_prefix", "a" * 65),
        ("tick_seconds", "0"),
        ("tick_seconds", "-1"),
        ("tick_seconds", "inf"),
        ("tick_seconds", "nan"),
        ("queue_timeout_seconds", "-1"),
        ("loading_timeout_seconds", "0"),
        ("reconnect_grace_seconds", "86401"),
        ("ping_interval_seconds", "soon"),
        ("node_lease_seconds", "0"),
        ("stop_seconds", "0"),
        ("allocation_attempts", "0"),
        ("allocation_attempts", "1.5"),
        ("server_networks", "localhost"),
        ("server_networks", "127.0.0.0/33"),
        ("trusted_proxies", "proxy"),
        ("max_connections", "0"),
        ("max_connections_per_address", "-1"),
        ("messages_per_second", "0"),
        ("messages_per_second", "nan"),
        ("max_message_bytes", "10"),
        ("match_on_enqueue", "perhaps"),
        ("player_issuer", "https://login.example.org"),
        ("player_audience", "our-game"),
    ],
)
def test_a_wrong_setting_is_one_readable_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(variable(name), value)
    line = refusal()
    assert line.startswith(f"{variable(name)}: ")
    assert "\n" not in line
    assert "pydantic" not in line


def test_a_key_may_not_have_the_label_of_the_key_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCH_ADMIN_KEYS", "admin:secret-of-ada:read")
    load_settings()
    monkeypatch.setenv("MATCH_ADMIN_KEY", "secret-of-all")
    line = refusal()
    assert line.startswith("MATCH_ADMIN_KEYS: the label admin is that of MATCH_ADMIN_KEY")
    assert "secret" not in line


def test_each_wrong_setting_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCH_PORT", "x")
    monkeypatch.setenv("MATCH_TICK_SECONDS", "-1")
    assert [line.partition(":")[0] for line in refusal().splitlines()] == ["MATCH_PORT", "MATCH_TICK_SECONDS"]


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(max_size=30), name=st.sampled_from(["game_modes", "server_networks", "trusted_proxies", "redis_url"])
)
def test_no_text_makes_it_raise_anything_but_a_settings_error(name: str, text: str) -> None:
    with contextlib.suppress(SettingsError):
        load_settings(**{name: text})


# --- guards and secrets ---


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "[::]"])
def test_beyond_loopback_it_does_not_start_without_keys(host: str) -> None:
    assert refusal(host=host).startswith("MATCH_SERVER_KEY: must be set")
    assert refusal(host=host, server_key="secret").startswith("MATCH_ADMIN_KEY: must be set")
    assert load_settings(host=host, server_key="secret", admin_key="other").host == host
    assert load_settings(host=host, admin_port=0).host == host, "only players come from beyond"
    assert refusal(admin_host=host, admin_port=0).startswith("MATCH_SERVER_KEY: must be set")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_on_loopback_no_key_is_needed(host: str) -> None:
    assert is_loopback(host)
    assert load_settings(host=host).host == host


def test_secrets_are_neither_shown_nor_described(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MATCH_SERVER_KEY", "MATCH_ADMIN_KEY", "MATCH_PLAYER_KEY"):
        monkeypatch.setenv(name, "hunter2")
    loaded = load_settings()
    assert "hunter2" not in repr(loaded) + str(loaded) + repr(describe_settings())
    monkeypatch.setenv("MATCH_REDIS_URL", "http://user:hunter2@redis")
    assert "hunter2" not in refusal()


def test_each_pool_has_a_prefix_with_its_name_as_a_hash_tag() -> None:
    loaded = load_settings(pools="eu, us", key_prefix="game:")
    assert loaded.pool_names == ("eu", "us")
    assert [loaded.of_pool(name).key_prefix for name in loaded.pool_names] == ["game:{eu}:", "game:{us}:"]
    alone = load_settings(key_prefix="game:")
    assert [alone.of_pool(name).key_prefix for name in alone.pool_names] == ["game:"]
    assert load_settings(pools="eu,us", redis_url="redis+cluster://a").pools == ("eu", "us")


@pytest.mark.parametrize("pools", ["eu,eu", "Eu", "e u", "-eu", "{eu}", "a" * 33])
def test_names_of_pools_are_checked(pools: str) -> None:
    assert refusal(pools=pools).startswith("MATCH_POOLS: ")


def test_a_hash_tag_in_the_prefix_would_put_all_pools_into_one_slot() -> None:
    assert refusal(pools="eu,us", key_prefix="{x}:").startswith("MATCH_KEY_PREFIX: must hold no hash tag")


def test_all_keys_that_are_missing_beyond_loopback_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCH_HOST", "0.0.0.0")
    assert re.match("MATCH_SERVER_KEY: must be set .*; so must MATCH_ADMIN_KEY, or anybody", refusal())
    monkeypatch.setenv("MATCH_SERVER_KEY", "k" * 32)
    assert re.match("MATCH_ADMIN_KEY: must be set", refusal())
