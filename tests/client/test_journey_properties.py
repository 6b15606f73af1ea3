"""Whatever happens to a player: a correct service never looks wrong, and a wrong one never breaks the client."""

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from match_server.protocol import (
    SERVER_MESSAGES,
    Dequeue,
    Dequeued,
    Enqueue,
    Error,
    ErrorCode,
    JourneyState,
    MatchCancelled,
    MatchFound,
    Party,
    Queued,
    Resumed,
    ServerMessage,
    StartLoading,
    Status,
)
from test_client.journey import Journey
from test_client.states import State

MODE = "Normal_1v1"
SESSION = "11111111-1111-4111-8111-111111111111"


class CorrectService(RuleBasedStateMachine):
    """A service that keeps the contract, with links that break at any moment; the client sees nothing wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.journey = Journey("me", MODE, clock=lambda: 0.0)
        self.state = ""  # the service's own truth
        self.seq = 0
        self.token = ""
        self.session = ""
        self.ready = ""  # the session for which it has said that it loaded
        self.found: MatchFound | None = None
        self.linked = True

    def tell(self, message: ServerMessage) -> None:
        self.seq += 1
        if self.linked:  # else it is lost, as pub/sub loses it
            self.journey.receive(message.model_copy(update={"seq": self.seq}))

    def tell_state(self, *, requeued: bool = False) -> None:
        match self.state:
            case "queued":
                self.tell(Queued(game_mode=MODE, resume_token=self.token, requeued=requeued))
            case "loading":
                self.tell(StartLoading(loading_session_id=self.session, players=("me", "you"), timeout_seconds=60))
            case "matched" if self.found is not None:
                self.tell(self.found)

    def queue(self) -> None:
        self.state, self.token, self.found = "queued", uuid.uuid4().hex, None
        self.tell_state()

    @initialize()
    def enqueues(self) -> None:
        self.journey.sent(self.journey.opening())
        self.queue()

    @precondition(lambda self: self.state == "queued")
    @rule()
    def is_matched(self) -> None:
        self.state, self.session = "loading", str(uuid.uuid4())
        self.tell_state()

    @precondition(lambda self: self.linked and self.journey.state is State.LOADING)
    @rule()
    def loads(self) -> None:
        loaded = self.journey.loading_complete()
        self.ready = loaded.loading_session_id
        self.journey.sent(loaded)

    @precondition(lambda self: self.state == "loading" and self.ready == self.session)
    @rule()
    def match_is_found(self) -> None:
        self.state = "matched"
        self.found = MatchFound(
            session_id=str(uuid.uuid4()),
            server_address="udp://a:1",
            players=("you", "me"),
            loading_session_id=self.session,
        )
        self.tell_state()

    @precondition(lambda self: self.state == "loading")
    @rule()
    def match_is_cancelled(self) -> None:
        self.state = "queued"
        self.tell(MatchCancelled(loading_session_id=self.session, reason="player_left", requeued=True))
        self.tell_state(requeued=True)

    @precondition(lambda self: self.linked and self.state in {"queued", "loading"})
    @rule(reason=st.sampled_from(["requested", "queue_timeout", "loading_timeout"]))
    def leaves(self, reason: str) -> None:
        if reason == "requested":
            self.journey.sent(Dequeue())
        self.state = ""
        self.tell(Dequeued.model_validate({"reason": reason}))

    @precondition(lambda self: self.linked and self.state in {"", "matched"})
    @rule()
    def enqueues_again(self) -> None:
        self.journey.sent(Enqueue(player_id="me", game_mode=MODE))
        self.queue()

    @precondition(lambda self: self.linked and self.state != "")
    @rule()
    def link_breaks(self) -> None:
        self.linked = False
        self.journey.link_lost()

    @precondition(lambda self: not self.linked)
    @rule()
    def comes_back(self) -> None:
        self.linked = True
        self.journey.sent(self.journey.opening())
        states: dict[str, JourneyState] = {"queued": "queued", "loading": "loading", "matched": "matched"}
        self.tell(Resumed(state=states[self.state], game_mode=MODE, resume_token=self.token))
        self.tell_state()

    @invariant()
    def nothing_looks_wrong(self) -> None:
        assert self.journey.violations == []


CorrectService.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCorrectService = CorrectService.TestCase

IDS = st.sampled_from(["a", "b", "c"])
SEQ = st.integers(0, 5)
PLAYERS = st.sampled_from([(), ("me", "you"), ("you",), ("me", "me")])
ANYTHING = st.one_of(
    st.builds(Queued, seq=SEQ, resume_token=IDS, requeued=st.booleans()),
    st.builds(StartLoading, seq=SEQ, loading_session_id=IDS, players=PLAYERS),
    st.builds(MatchCancelled, seq=SEQ, loading_session_id=IDS, reason=st.just("player_left"), requeued=st.booleans()),
    st.builds(MatchFound, seq=SEQ, session_id=IDS, server_address=IDS, loading_session_id=IDS, players=PLAYERS),
    st.builds(Dequeued, seq=SEQ, reason=st.sampled_from(["requested", "loading_timeout"])),
    st.builds(
        Resumed,
        seq=SEQ,
        state=st.sampled_from(["queued", "loading", "allocating", "matched"]),
        game_mode=st.just(MODE),
        resume_token=IDS,
    ),
    st.builds(Party, seq=SEQ, party_id=IDS, members=PLAYERS, missing=st.integers(0, 5), timeout_seconds=st.just(60)),
    st.builds(Error, code=st.sampled_from(ErrorCode), message=st.just("no")),
    st.builds(Status, state=st.sampled_from(["none", "queued", "matched"])),
)


@given(messages=st.lists(st.one_of(ANYTHING, st.none()), max_size=20))
def test_no_service_however_wrong_breaks_the_client(messages: list[ServerMessage | None]) -> None:
    journey = Journey("me", MODE)
    journey.sent(journey.opening())
    for message in messages:
        if message is None:
            journey.link_lost()
            journey.sent(journey.opening())
        else:
            journey.receive(message)
        journey.again()
        if journey.state is State.LOADING:
            journey.loading_complete()
    journey.finish()


@given(repeated=st.sampled_from([0, 1, 2]))
def test_a_frame_that_comes_twice_is_noticed(repeated: int) -> None:
    journey = Journey("me", MODE)
    journey.sent(journey.opening())
    frames: list[ServerMessage] = [
        Queued(seq=1, resume_token="t"),
        StartLoading(seq=2, loading_session_id=SESSION, players=("me", "you")),
        MatchFound(seq=3, session_id="s", server_address="x", loading_session_id=SESSION, players=("me", "you")),
    ]
    for number, frame in enumerate(frames):
        journey.receive(frame)
        if isinstance(frame, StartLoading):
            journey.sent(journey.loading_complete())
        if number == repeated:
            journey.receive(frame)
    assert journey.violations


def test_every_kind_of_message_is_thrown_at_it() -> None:
    assert len(SERVER_MESSAGES) == 10  # a new one belongs in ANYTHING (pong does nothing)
