import re
from random import Random

import pytest

import test_client.behaviours
from match_server.protocol import Dequeue, InvalidMessage, LoadingComplete, Queued, StartLoading, decode_client
from test_client.behaviours import BEHAVIOURS, DropLink, DropsLink, Normal, Send, SendsRubbish, SlowLoader
from test_client.distributions import parse_distribution
from test_client.journey import Journey

SESSION = "11111111-1111-4111-8111-111111111111"


def told_to_load(*, timeout_seconds: float = 60) -> Journey:
    journey = Journey("me", "Normal_1v1")
    journey.sent(journey.opening())
    journey.receive(Queued(seq=1, resume_token="token"))
    journey.receive(StartLoading(seq=2, loading_session_id=SESSION, timeout_seconds=timeout_seconds))
    return journey


def make(kind: type[Normal], journey: Journey, loading: str = "0.5", seed: int = 1) -> Normal:
    return kind(journey, parse_distribution(loading), Random(seed))  # noqa: S311 - chance, not secrets


def test_the_table_at_the_top_says_what_the_code_says() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| (\S+) \|$", test_client.behaviours.__doc__ or "", re.MULTILINE)
    assert {name: frozenset({fate}) for name, fate in rows} == {name: kind.fates for name, kind in BEHAVIOURS.items()}


def test_a_normal_player_loads_then_says_so_and_repeats_it_when_told_again() -> None:
    journey = told_to_load()
    player = make(Normal, journey)
    loaded = LoadingComplete(loading_session_id=SESSION)
    assert player.on_start_loading() == (Send(loaded, after_seconds=0.5),)
    journey.sent(loaded)
    assert player.on_start_loading() == (Send(loaded),)


@pytest.mark.parametrize(("timeout_seconds", "seconds"), [(60, 2.0), (1, 0.8)])
def test_a_slow_loader_is_slow_but_in_time(timeout_seconds: float, seconds: float) -> None:
    (action,) = make(SlowLoader, told_to_load(timeout_seconds=timeout_seconds)).on_start_loading()
    assert action.after_seconds == seconds


@pytest.mark.parametrize("name", ["quits-in-queue", "quits-while-loading"])
def test_quitters_leave_a_loading_session_too(name: str) -> None:
    assert make(BEHAVIOURS[name], told_to_load()).on_start_loading() == (Send(Dequeue()),)


@pytest.mark.parametrize("seed", range(10))
def test_a_link_is_dropped_once(seed: int) -> None:
    journey = told_to_load()
    player = make(DropsLink, journey, seed=seed)
    (drop,) = player.on_start_loading()
    assert isinstance(drop, DropLink)
    assert drop.after_seconds <= 0.5
    journey.link_lost()
    assert player.on_queued() == ()
    (action,) = player.on_start_loading()
    assert isinstance(action, Send)


def test_the_rubbish_is_rubbish_and_comes_once() -> None:
    player = make(SendsRubbish, told_to_load())
    assert len(player.on_queued()) == len(SendsRubbish.rubbish)
    assert player.on_queued() == ()
    for frame in SendsRubbish.rubbish:
        if isinstance(frame, str):
            with pytest.raises(InvalidMessage):
                decode_client(frame)
