from hypothesis import given
from hypothesis import strategies as st

from dedicated_server_stub.sessions import Placed, Refusal, SessionRegistry


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def registry(
    *,
    capacity: int = 2,
    limit_seconds: float | None = 5,
    remembered_keys: int = 100,
    clock: Clock | None = None,
) -> SessionRegistry:
    return SessionRegistry(
        capacity=capacity,
        limit_seconds=limit_seconds,
        clock=clock or Clock(),
        remembered_keys=remembered_keys,
    )


def create(sessions: SessionRegistry, name: str, *, key: str | None = None) -> Placed | Refusal:
    return sessions.create(key=key or f"key-{name}", session_id=name, game_mode="duel", players=("ann", "bob"))


def test_a_key_has_one_session_however_often_it_is_used() -> None:
    sessions = registry()

    assert create(sessions, "a") == Placed("a", first=True)
    assert create(sessions, "a") == Placed("a", first=False)
    assert create(sessions, "other-id", key="key-a") == Placed("a", first=False)
    assert sessions.live_ids() == ["a"]
    assert sessions.created == 1


def test_a_key_keeps_its_session_after_the_end() -> None:
    sessions = registry()
    create(sessions, "a")
    sessions.end("a")

    assert create(sessions, "a") == Placed("a", first=False)
    assert len(sessions) == 0


def test_only_so_many_ended_keys_are_remembered() -> None:
    sessions = registry(remembered_keys=2)
    for name in ("a", "b", "c"):
        create(sessions, name)
        sessions.end(name)

    assert create(sessions, "b") == Placed("b", first=False)
    assert create(sessions, "a") == Placed("a", first=True)


def test_a_full_server_refuses_new_keys_and_still_answers_known_ones() -> None:
    sessions = registry(capacity=1)
    create(sessions, "a")

    assert create(sessions, "b") is Refusal.FULL
    assert create(sessions, "a") == Placed("a", first=False)
    sessions.end("a")
    assert create(sessions, "b") == Placed("b", first=True)
    assert sessions.refused == {Refusal.FULL: 1}


def test_a_draining_server_refuses_new_keys_and_still_answers_known_ones() -> None:
    sessions = registry()
    create(sessions, "a")
    sessions.draining = True

    assert create(sessions, "b") is Refusal.DRAINING
    assert create(sessions, "a") == Placed("a", first=False)


def test_a_running_session_id_is_not_given_to_another_key() -> None:
    sessions = registry()
    create(sessions, "a")

    assert create(sessions, "a", key="another") is Refusal.CONFLICT


def test_a_refusal_on_purpose_spares_known_keys() -> None:
    sessions = registry()
    create(sessions, "a")

    assert sessions.refuse_on_purpose("key-a") is None
    assert sessions.refuse_on_purpose("key-b") is Refusal.REFUSED


def test_sessions_are_due_after_their_time() -> None:
    clock = Clock()
    sessions = registry(clock=clock, limit_seconds=5)
    assert sessions.seconds_until_due() == 5
    create(sessions, "a")
    clock.now += 2
    create(sessions, "b")

    assert sessions.due() == []
    assert sessions.seconds_until_due() == 3
    clock.now += 3
    assert sessions.due() == ["a"]
    sessions.end("a")
    assert sessions.seconds_until_due() == 2
    clock.now += 100
    assert sessions.due() == ["b"]
    assert sessions.seconds_until_due() == 0


def test_without_a_limit_no_session_is_ever_due() -> None:
    clock = Clock()
    sessions = registry(clock=clock, limit_seconds=None)
    create(sessions, "a")
    clock.now += 1e9
    running = sessions.get("a")

    assert sessions.due() == []
    assert sessions.seconds_until_due() is None
    assert running is not None
    assert sessions.seconds_left(running) is None


def test_an_end_happens_once() -> None:
    sessions = registry()
    create(sessions, "a")

    assert sessions.end("a") is not None
    assert sessions.end("a") is None
    assert sessions.end("never-there") is None
    assert sessions.ended == 1


NAMES = st.sampled_from("abcdef")
STEPS = st.one_of(
    st.tuples(st.just("create"), NAMES, NAMES),
    st.tuples(st.just("end"), NAMES, NAMES),
    st.tuples(st.just("pass"), NAMES, NAMES),
)


@given(capacity=st.integers(1, 3), steps=st.lists(STEPS, max_size=60))
def test_capacity_and_keys_hold_under_any_history(capacity: int, steps: list[tuple[str, str, str]]) -> None:
    clock = Clock()
    sessions = registry(capacity=capacity, clock=clock, limit_seconds=3)
    session_of: dict[str, str] = {}
    for kind, key, name in steps:
        if kind == "create":
            result = create(sessions, name, key=key)
            if isinstance(result, Placed):
                assert session_of.setdefault(key, result.session_id) == result.session_id
                assert not result.first or result.session_id == name
        elif kind == "end":
            sessions.end(name)
        else:
            clock.now += 1
            for due in sessions.due():
                sessions.end(due)
        assert len(sessions) <= capacity
        assert len(sessions) == sessions.created - sessions.ended
        remaining = [session.ends_at or 0 for session in sessions.live()]
        assert remaining == sorted(remaining)
