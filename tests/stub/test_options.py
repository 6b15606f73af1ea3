import socket
import sys

import pytest

from dedicated_server_stub.cli import main
from dedicated_server_stub.options import FaultOptions, Options
from dedicated_server_stub.web import listen


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["dedicated-server-stub", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--match-server", "ftp://somewhere"),
        ("--match-server", "http://[bad"),
        ("--control-url", "http://"),
        ("--advertise-address", "http://not-a-websocket"),
        ("--port", "65536"),
        ("--capacity", "many"),
        ("--server-id", "../escape"),
        ("--game-mode", "two,modes"),
        ("--session-seconds", "-1"),
        ("--session-seconds", "inf"),
        ("--max-session-seconds", "0"),
        ("--refuse-rate", "1.5"),
        ("--hang-rate", "nan"),
        ("--log-format", "xml"),
        ("--no-such-option", "1"),
    ],
)
def test_a_wrong_option_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert call(monkeypatch, option, value) == 2

    error = capsys.readouterr().err
    assert option in error
    assert len(error.splitlines()) == 1


def test_a_wrong_key_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MATCH_SERVER_KEY", "two words")

    assert call(monkeypatch) == 2

    error = capsys.readouterr().err
    assert "MATCH_SERVER_KEY" in error
    assert "two words" not in error


def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        assert call(monkeypatch, "--port", port) == 2
    assert f"--port {port}" in capsys.readouterr().err


def test_listening_works_on_every_kind_of_address() -> None:
    hosts = ["localhost", "0.0.0.0"] + (["::1"] if socket.has_ipv6 else [])
    for host in hosts:
        with listen(host, 0) as listener:
            assert listener.getsockname()[1] > 0


@pytest.mark.parametrize(
    ("session_seconds", "max_session_seconds", "limit"),
    [(5, None, 5), (0, None, None), (0, 60, 60), (5, 60, 5), (90, 60, 60)],
)
def test_the_shorter_limit_counts(
    session_seconds: float, max_session_seconds: float | None, limit: float | None
) -> None:
    options = Options(
        match_servers=("http://127.0.0.1:8080",),
        host="127.0.0.1",
        server_id="stub-1",
        server_key="s3cret",
        capacity=1,
        batch=True,
        session_seconds=session_seconds,
        max_session_seconds=max_session_seconds,
        drain_seconds=10,
        faults=FaultOptions(),
    )
    assert options.session_limit_seconds == limit
    assert "s3cret" not in repr(options)
