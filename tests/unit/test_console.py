"""What the three commands share."""

from typing import Literal

import pytest

from match_server.console import node_url

PLAYERS, OTHERS = "ws://127.0.0.1:8080/ws/", "http://127.0.0.1:8080"


@pytest.mark.parametrize("text", ["127.0.0.1:8080", OTHERS, f"{OTHERS}/", PLAYERS, "ws://127.0.0.1:8080"])
def test_each_command_takes_a_nodes_address_in_any_of_its_forms(text: str) -> None:
    assert node_url(text, scheme="ws") == PLAYERS
    assert node_url(text, scheme="http") == OTHERS


@pytest.mark.parametrize(
    ("text", "scheme", "url"),
    [
        ("https://play.example/", "ws", "wss://play.example/ws/"),
        ("wss://play.example/ws/", "http", "https://play.example"),
        ("ws://[::1]:8080", "ws", "ws://[::1]:8080/ws/"),
        ("wss://play.example/eu/ws", "ws", "wss://play.example/eu/ws"),
        ("wss://play.example/eu/ws", "http", "https://play.example/eu"),
        ("ws://127.0.0.1:8080?a=b", "ws", "ws://127.0.0.1:8080/ws/?a=b"),
    ],
)
def test_what_stands_in_an_address_is_kept(text: str, scheme: Literal["http", "ws"], url: str) -> None:
    assert node_url(text, scheme=scheme) == url


@pytest.mark.parametrize(
    "text", ["", "ftp://a", "ws://", "ws://a:99999", "ws://a:0", "ws://a:port", "ws://[::1", "a node", "ws://a b:80"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        node_url(text, scheme="http")
