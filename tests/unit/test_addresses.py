"""What may become the URL of a dedicated server."""

import asyncio
import contextlib
import ipaddress
import socket
import string
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from match_server.errors import RegistrationRefused
from match_server.servers.addresses import Endpoint, check_control_url
from match_server.setting_types import Network, Networks

_NETWORKS: TypeAdapter[tuple[Network, ...]] = TypeAdapter(Networks)
LOOPBACK = "127.0.0.0/8,::1/128"


def check(control_url: str, networks: str = LOOPBACK) -> Endpoint:
    return asyncio.run(check_control_url(control_url, _NETWORKS.validate_python(networks)))


def refused(control_url: str, networks: str = LOOPBACK) -> str:
    with pytest.raises(RegistrationRefused) as caught:
        check(control_url, networks)
    return str(caught.value)


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Have every name resolve to these addresses; returns the names that were asked for."""

    def to(*addresses: str) -> list[str]:
        asked: list[str] = []

        def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
            asked.append(host)
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "unknown")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return to


@pytest.mark.parametrize(
    ("control_url", "url", "host"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", "127.0.0.1:9000"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000", "127.0.0.1:9000"),
        ("http://127.0.0.1", "http://127.0.0.1", "127.0.0.1"),
        ("https://127.8.9.10:1/a/b/", "https://127.8.9.10:1/a/b", "127.8.9.10:1"),
        ("http://[::1]:9000", "http://[::1]:9000", "[::1]:9000"),
        ("http://[0:0:0:0:0:0:0:1]:9000/x", "http://[::1]:9000/x", "[0:0:0:0:0:0:0:1]:9000"),
        ("HTTP://127.0.0.1:65535", "http://127.0.0.1:65535", "127.0.0.1:65535"),
    ],
)
def test_an_address_inside_the_networks_is_taken(control_url: str, url: str, host: str) -> None:
    assert check(control_url) == Endpoint(url, host)


@pytest.mark.parametrize(
    "control_url",
    [
        "",
        "127.0.0.1:9000",
        "//127.0.0.1:9000",
        "http://",
        "http:///path",
        "http://:9000",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "unix:///run/redis.sock",
        "gopher://127.0.0.1:6379/_x",
        "javascript:alert(1)",
    ],
)
def test_anything_but_http_and_https_with_a_host_is_refused(control_url: str) -> None:
    assert refused(control_url) == "control_url: expected http://host:port or https://host:port"


@pytest.mark.parametrize("port", ["-1", "65536", "99999999999", "http", "0x50", "80.0", "+80", "8 0", "٨٠", "0"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    refused(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "control_url",
    [
        "http://user@127.0.0.1",
        "http://user:secret@127.0.0.1",
        "http://@127.0.0.1",
        "http://:@127.0.0.1",
        "http://10.0.0.1@127.0.0.1",
        "http://127.0.0.1@10.0.0.1",
        "http://127.0.0.1/?a=b",
        "http://127.0.0.1?a=b",
        "http://127.0.0.1/#x",
        "http://127.0.0.1/\u00e9",
        "http://\uff11\uff12\uff17.0.0.1",
        "http://127\u30020\u30020\u30021",
    ],
)
def test_a_user_a_query_a_fragment_and_other_alphabets_are_refused(control_url: str) -> None:
    refused(control_url)


@pytest.mark.parametrize(
    "where", ["{}http://127.0.0.1/", "ht{}tp://127.0.0.1/", "http://127.0{}.0.1/", "http://127.0.0.1/{}"]
)
@pytest.mark.parametrize("character", [" ", "\t", "\n", "\r", "\x00", "\x1f", "\x7f", "\\"])
def test_spaces_control_characters_and_backslashes_are_refused_wherever_they_stand(where: str, character: str) -> None:
    refused(where.format(character))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "017700000001",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f.0.0.0x1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.256",
        "1270.0.0.1",
        "127.0.0.0.1",
        "name.127",
        "name.0x7f",
        "-name.example",
        "name-.example",
        "a..b",
        ".example",
        "a" * 64 + ".example",
        "127.0.0.1%2f",
        "127.0.0.1,10.0.0.1",
        "*",
        "::1",
        "[127.0.0.1]",
        "[::1",
        "::1]",
        "[]",
        "[v1.x]",
        "[::1]x",
        "x[::1]",
        "evil.example[::1]",
        "[::1%25lo]",
        "[::1%lo]",
    ],
)
def test_odd_spellings_of_a_host_are_refused(host: str, resolves: Callable[..., list[str]]) -> None:
    asked = resolves("127.0.0.1")
    refused(f"http://{host}:9000/")
    assert asked == []  # what no reader takes for a name is no name to resolve either


@pytest.mark.parametrize(
    "control_url",
    [
        "http://10.0.0.1",
        "http://128.0.0.1",
        "http://0.0.0.0",
        "http://169.254.169.254",
        "http://[::]",
        "http://[::2]",
        "http://[::ffff:10.0.0.1]",
        "http://[::ffff:127.0.0.1]",
        "http://[64:ff9b::7f00:1]",
    ],
)
def test_an_address_outside_the_networks_is_refused_and_the_setting_is_named(control_url: str) -> None:
    assert refused(control_url) == ("control_url: its host is outside MATCH_SERVER_NETWORKS (127.0.0.0/8, ::1/128)")


def test_networks_are_what_the_setting_says() -> None:
    assert check("http://10.1.2.3:80", "10.0.0.0/8").url == "http://10.1.2.3:80"
    refused("http://127.0.0.1", "10.0.0.0/8")
    refused("http://10.1.2.3", "")


def test_a_name_is_resolved_once_and_calls_go_to_its_address_under_its_name(
    resolves: Callable[..., list[str]],
) -> None:
    asked = resolves("127.0.0.5")
    assert check("http://game-1.eu.example:9000/x") == Endpoint("http://127.0.0.5:9000/x", "game-1.eu.example:9000")
    assert asked == ["game-1.eu.example"]


def test_of_several_addresses_the_first_inside_the_networks_is_taken(resolves: Callable[..., list[str]]) -> None:
    resolves("10.0.0.1", "fe80::1%eth0", "::1", "127.0.0.1")
    assert check("http://game.example:9000").url == "http://[::1]:9000"


def test_a_name_with_no_address_inside_the_networks_is_refused(resolves: Callable[..., list[str]]) -> None:
    resolves("10.0.0.1", "169.254.169.254")
    assert "MATCH_SERVER_NETWORKS" in refused("http://game.example:9000")


def test_a_name_that_does_not_resolve_is_refused_by_name(resolves: Callable[..., list[str]]) -> None:
    resolves()
    assert refused("http://nobody.example:9000") == "control_url: the name nobody.example does not resolve"


def test_a_name_that_takes_too_long_to_resolve_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("match_server.servers.addresses._RESOLVE_SECONDS", 0.01)

    async def scenario() -> None:
        async def never(*_: Any, **__: Any) -> None:
            await asyncio.Event().wait()

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(type(loop), "getaddrinfo", lambda self, *_, **__: never())
        with pytest.raises(RegistrationRefused, match="does not resolve"):
            await check_control_url("http://slow.example", _NETWORKS.validate_python(LOOPBACK))

    asyncio.run(scenario())


digits = st.integers(0, 2**33).flatmap(
    lambda number: st.sampled_from([str(number), hex(number), oct(number), f"0{number:o}", f"{number:032b}"])
)
hosts = st.one_of(
    st.lists(digits, min_size=1, max_size=5).map(".".join),
    st.ip_addresses().map(str),
    st.ip_addresses().map(lambda address: f"[{address}]"),
    st.text(string.ascii_letters + string.digits + ".:[]@%-_/\\?#\t\n \x7f", max_size=30),
    st.tuples(st.text(max_size=5), st.sampled_from(["127.0.0.1", "[::1]", "localhost"]), st.text(max_size=5)).map(
        "".join
    ),
)
control_urls = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["http://", "https://", "http:", "//", "http:////", "HTTP://"]),
        hosts,
        st.sampled_from(["", ":", ":80", ":0", ":65536", ":x", ":80:80"]),
        st.text(max_size=8) | st.sampled_from(["/", "/a", "/%zz", "/\x7f", "?"]),
    ),
)


@settings(max_examples=200, deadline=None)
@given(control_url=control_urls)
def test_however_it_is_spelled_only_an_address_inside_the_networks_is_taken_and_can_be_called(
    control_url: str,
) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
            # Takes what resolvers take besides names, such as 2130706433.
            with contextlib.suppress(OSError):
                return [(socket.AF_INET, 1, 6, "", (socket.inet_ntoa(socket.inet_aton(host)), port))]
            return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]

        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        try:
            endpoint = check(control_url, "127.0.0.0/9")
        except RegistrationRefused:
            return
    called = httpx.URL(endpoint.url + "/session/create")
    assert ipaddress.ip_address(called.host) in ipaddress.ip_network("127.0.0.0/9")
    assert called.scheme in {"http", "https"}
    assert called.path.endswith("/session/create")
    assert called.query == b""
    named = httpx.URL(f"https://{endpoint.host}")  # as the provider reads it, for TLS
    assert named.path == "/"
    assert not named.userinfo
