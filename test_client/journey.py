"""One player's journey as its client sees it: what it was told, what comes next, what must never happen. No I/O.

    IDLE ──queued──▶ QUEUED ──start_loading──▶ LOADING ──match_found──▶ MATCHED
                       ▲                          │
                       └──queued── CANCELLED ◀────┘ match_cancelled            dequeued, from any: LEFT

A frame that does not fit becomes a line in `Journey.violations`, and the journey goes on with what the frame says.
"""

import re
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal, TypeAlias

from match_server.protocol import (
    UUID_PATTERN,
    ClientMessage,
    Dequeue,
    Dequeued,
    Enqueue,
    Error,
    ErrorCode,
    LoadingComplete,
    MatchCancelled,
    MatchFound,
    Party,
    Pong,
    Queued,
    Resume,
    Resumed,
    ServerMessage,
    StartLoading,
    Status,
)
from test_client.states import State, Step, Times
from test_client.tickets import Brought

Told: TypeAlias = Party | Queued | StartLoading | MatchCancelled | MatchFound | Dequeued  # moves the journey on
RETRY_SECONDS = 1.0  # when the service does not say how long to wait
_NEVER_FOR_AN_ENQUEUE = frozenset({ErrorCode.TOO_LATE, ErrorCode.WRONG_SESSION_ID})


class Journey:
    """Follows one player. Tell it what was `sent`, what to `receive`, and when the `link_lost` its peer.

    Args:
        player_id: the player's id.
        game_mode: the mode it queues for.
        brings: what else its `enqueue` says.
        clock: seconds, for `times`.
    """

    def __init__(
        self,
        player_id: str,
        game_mode: str,
        *,
        brings: Brought | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.player_id = player_id
        self.game_mode = game_mode
        self.brings = brings or Brought()
        self.state = State.IDLE
        self.loading: StartLoading | None = None  # the session that it is in
        self.formed_at = 0.0  # when it was told of that session, on the journey's clock
        self.loaded = False  # `loading_complete` was sent for it
        self.leaving = False  # a `dequeue` was sent
        self.match: MatchFound | None = None
        self.end = ""  # `dequeued:<reason>`, `cancelled:<reason>` or `refused:<code>`, once it is told so
        self.retry_after_seconds = 0.0
        self.links_lost = 0
        self.places_lost = 0  # it came back and its place was gone
        self.errors: Counter[ErrorCode] = Counter()  # the `error` frames that nobody asked for
        self.violations: list[str] = []
        self.times = Times()
        self._clock = clock
        self._seq = 0
        self._token = ""
        self._last_sent: ClientMessage | None = None
        self._enqueues = 0
        self._expected: deque[frozenset[ErrorCode]] = deque()
        self._resume_sent = False  # `resumed` must come first
        self._restated: type[ServerMessage] | None = None  # the frame that must follow `resumed`

    # --- what the client sends ---

    @property
    def settled(self) -> bool:
        """No `resume` is on its way: `state` is what the service says too."""
        return not self._resume_sent and self._restated is None

    def opening(self) -> Enqueue | Resume:
        """The first message on a connection: `resume` with a place to come back to, else `enqueue`."""
        if self._token:
            # Made unchecked: an echo of what the service has said, be it right or wrong.
            return Resume.model_construct(player_id=self.player_id, resume_token=self._token)
        return self.enqueue()

    def enqueue(self) -> Enqueue:
        """Its `enqueue`, with all that it brings."""
        return self.brings.enqueue(self.player_id, self.game_mode)

    def again(self) -> ClientMessage:
        """The message to repeat after `Step.RETRY`."""
        if self._last_sent is None or self.state is State.IDLE or self._resume_sent:
            return self.opening()
        return self._last_sent

    def loading_complete(self) -> LoadingComplete:
        """The message that says that this player has loaded; only while it has a session to load."""
        if self.loading is None:
            raise RuntimeError(f"{self.player_id} has nothing to load")
        return LoadingComplete.model_construct(loading_session_id=self.loading.loading_session_id)

    def sent(self, message: ClientMessage) -> None:
        """Note that the client sent `message`."""
        self._last_sent = message
        match message:
            case Enqueue():
                if self.state in {State.MATCHED, State.LEFT, State.REFUSED}:
                    self._begin_anew()
                self._enqueues += 1
                self.end = ""
                self._mark("enqueued")
            case Resume():
                self._resume_sent = True
            case Dequeue():
                self.leaving = True
            case LoadingComplete(loading_session_id=session_id) if self.loading is not None:
                self.loaded = self.loaded or session_id == self.loading.loading_session_id

    def expect(self, *codes: ErrorCode) -> None:
        """Something wrong was sent on purpose: an `error` with one of `codes` is the right answer."""
        self._expected.append(frozenset(codes))

    def link_lost(self) -> None:
        """Note that the connection is gone without the client having left."""
        self.links_lost += 1
        if self.state is State.GATHERING and not self._token:
            self.state = State.IDLE  # without a token it has to enqueue anew
        self._expected.clear()  # the answers went down with it
        self._expected.clear()  # the answers went down with it
        self._resume_sent, self._restated = False, None

    def finish(self) -> None:
        """Check what must hold when the player has come to its end."""
        for codes in self._expected:
            self._violated(f"no error {'/'.join(sorted(codes))} for a wrong message")

    # --- what the client receives ---

    def receive(self, message: ServerMessage) -> Step:
        """Take in one frame, in the order of arrival, and say what to do next."""
        if isinstance(message, Pong | Status):  # no simulated player asks for its status
            return Step.WAIT
        if isinstance(message, Error):
            return self._on_error(message)
        self._check_order(message)
        if isinstance(message, Resumed):
            return self._on_resumed(message)
        if self.state is State.LEFT:
            self._violated(f"{message.type} after {self.end}")
        self._check_restated(message)
        restating = not self.settled
        if not isinstance(message, MatchCancelled):  # a cancellation may precede the frame of the state
            self._restated = None
        return self._on_told(message, restating=restating)

    def receive_undecodable(self, why: str) -> None:
        """Note a frame that is not of the protocol."""
        self._violated(f"a frame that is not of the protocol: {why}")

    def _violated(self, text: str) -> None:
        self.violations.append(text)

    def _mark(self, moment: Literal["enqueued", "queued", "start_loading", "match_found"]) -> None:
        if getattr(self.times, moment) is None:
            setattr(self.times, moment, self._clock())

    def _begin_anew(self) -> None:
        self.state = State.IDLE
        self.loading = self.match = None
        self.loaded = self.leaving = False
        self.end = self._token = ""
        self._enqueues = 0
        self._resume_sent, self._restated = False, None

    def _on_told(self, message: Told, *, restating: bool) -> Step:
        match message:
            case Party():
                return self._on_party(message, restating=restating)
            case Queued():
                return self._on_queued(message, restating=restating)
            case StartLoading():
                return self._on_start_loading(message, restating=restating)
            case MatchCancelled():
                return self._on_match_cancelled(message)
            case MatchFound():
                return self._on_match_found(message, restating=restating)
            case Dequeued():
                return self._on_dequeued(message)

    # --- checks ---

    def _check_order(self, message: Told | Resumed) -> None:
        """`seq` only grows; what a resume repeats may bear the number it had."""
        if not message.seq and not self._seq:
            return  # a service that does not number its frames
        if message.seq < self._seq or (message.seq == self._seq and self.settled):
            self._violated(f"{message.type} has seq {message.seq} after {self._seq}")
        self._seq = max(self._seq, message.seq)

    def _check_restated(self, message: ServerMessage) -> None:
        if self._resume_sent:
            self._violated(f"{message.type} before resumed")
            self._resume_sent = False
        elif self._restated and not isinstance(message, (self._restated, MatchCancelled, Dequeued)):
            self._violated(f"{message.type} after a resumed that promised {self._restated.__name__}")

    def _check_token(self, token: str) -> None:
        if self._token and token != self._token:
            self._violated("the resume token changed within one journey")
        self._token = token

    def _check_repeated(self, first: MatchFound, second: MatchFound, *, restating: bool) -> None:
        if second.session_id != first.session_id:
            self._violated(f"two matches for one enqueue: {first.session_id} and {second.session_id}")
        elif second.server_address != first.server_address:
            self._violated("match_found again with another server_address")
        elif not restating:
            self._violated("match_found twice on one connection")

    def _check_loaded(self, message: MatchFound) -> None:
        if self.loading is None:
            self._violated(f"match_found while {self.state}")
            return
        if message.loading_session_id not in {"", self.loading.loading_session_id}:
            self._violated("match_found of another loading session")
        elif not self.loaded:
            self._violated("match_found before its loading_complete")
        if message.players and set(message.players) != set(self.loading.players):
            self._violated("match_found lists other players than start_loading")

    def _check_players(self, message: StartLoading | MatchFound) -> None:
        if not message.players:
            return  # the original flow does not list them
        if self.player_id not in message.players:
            self._violated(f"{message.type} does not list this player")
        if len(set(message.players)) != len(message.players):
            self._violated(f"{message.type} lists a player twice")

    # --- frames ---

    def _on_resumed(self, message: Resumed) -> Step:
        if not self._resume_sent:
            self._violated("resumed without a resume")
        if message.game_mode != self.game_mode:
            self._violated(f"resumed in {message.game_mode}, not {self.game_mode}")
        self._check_token(message.resume_token)
        self._resume_sent = False
        match message.state:
            case "gathering":
                self._restated = Party
            case "queued":
                self._restated = Queued
            case "loading" | "allocating":
                self._restated = StartLoading
            case "matched":
                self._restated = MatchFound
        return Step.WAIT

    def _on_party(self, message: Party, *, restating: bool) -> Step:
        if not restating and self.state in {State.LOADING, State.MATCHED}:
            self._violated(f"party while {self.state}")
        if message.party_id != self.brings.party_id:
            self._violated(f"party of {message.party_id}, not {self.brings.party_id}")
        if self.player_id not in message.members or len(message.members) + message.missing != self.brings.party_size:
            self._violated(f"party of {self.brings.party_size} has {message.members}, and {message.missing} missing")
        self._check_token(message.resume_token or self._token)
        self.state = State.GATHERING
        return Step.GATHER

    def _on_queued(self, message: Queued, *, restating: bool) -> Step:
        if not restating and self.state not in {State.IDLE, State.GATHERING, State.CANCELLED}:
            self._violated(f"queued while {self.state}")
        if self.state is State.CANCELLED and not message.requeued:
            self._violated("queued after match_cancelled does not say requeued")
        self._check_token(message.resume_token)
        self.state = State.QUEUED
        self.loading, self.loaded = None, False
        self._mark("queued")
        return Step.QUEUED

    def _on_start_loading(self, message: StartLoading, *, restating: bool) -> Step:
        known = self.loading is not None and self.loading.loading_session_id == message.loading_session_id
        if not restating and self.state is not State.QUEUED:
            what = "the same" if known else "another"
            self._violated(f"start_loading of {what} session while {self.state}")
        if not re.match(UUID_PATTERN, message.loading_session_id):
            self._violated(f"loading_session_id is no UUID: {message.loading_session_id!r}")
        self._check_players(message)
        self.loaded = self.loaded and known
        self.formed_at = self.formed_at if known else self._clock()
        self.loading = message
        self.state = State.LOADING
        self._mark("start_loading")
        return Step.LOAD

    def _on_match_cancelled(self, message: MatchCancelled) -> Step:
        if self.loading is None or self.loading.loading_session_id != message.loading_session_id:
            self._violated(f"match_cancelled of a session that is not its own, while {self.state}")
        self.loading, self.loaded = None, False
        if message.requeued:
            self.state = State.CANCELLED
            return Step.STOP_LOADING
        self.state, self.end = State.LEFT, f"cancelled:{message.reason}"
        return Step.END

    def _on_match_found(self, message: MatchFound, *, restating: bool) -> Step:
        self._check_players(message)
        if self.match is not None:
            self._check_repeated(self.match, message, restating=restating)
        else:
            self._check_loaded(message)
        self.match = message
        self.state = State.MATCHED
        self._mark("match_found")
        return Step.PLAY

    def _on_dequeued(self, message: Dequeued) -> Step:
        if message.reason == "requested" and not self.leaving:
            self._violated("dequeued (requested) without a dequeue")
        if message.reason.startswith("party_") and self.brings.party_id is None:
            self._violated(f"dequeued ({message.reason}) without a party")
        if self.state in {State.IDLE, State.MATCHED}:
            self._violated(f"dequeued while {self.state}")
        self.state, self.end = State.LEFT, f"dequeued:{message.reason}"
        self._expected.clear()  # what was asked of the place that is gone will not be answered any more
        return Step.END

    # --- refusals ---

    def _on_error(self, message: Error) -> Step:
        of_the_last_journey = self._seq > 0 and self.state is State.IDLE and message.code in _NEVER_FOR_AN_ENQUEUE
        if self._was_expected(message.code) or self.state is State.LEFT or of_the_last_journey:
            return Step.WAIT
        self.errors[message.code] += 1
        match message.code:
            case ErrorCode.RATE_LIMITED | ErrorCode.SERVER_BUSY:
                return self._on_refused_for_now(message)
            case ErrorCode.INVALID_RESUME_TOKEN:
                return self._on_place_lost()
            case ErrorCode.ALREADY_IN_QUEUE if self.state is State.IDLE and self._enqueues > 1:
                # An earlier enqueue took effect and its answer was lost, with the link or the node: `queued` comes
                # after all, or the place is given up after the grace time and this player can enqueue anew.
                return self._retry(RETRY_SECONDS)
            case ErrorCode.TOO_LATE:
                self.leaving = False
            case ErrorCode.INTERNAL_ERROR:
                self._violated(f"internal_error {message.error_id or ''}: {message.message}")
            case ErrorCode.WRONG_SESSION_ID | ErrorCode.NOT_IN_QUEUE | ErrorCode.ALREADY_IN_QUEUE:
                pass  # what it was about is over; the frame that says so is on its way
            case _ if self.state is not State.IDLE:
                self._violated(f"error {message.code} while {self.state}: {message.message}")
        if self.state is State.IDLE:
            self.state, self.end = State.REFUSED, f"refused:{message.code}"
            return Step.END
        return Step.WAIT

    def _on_refused_for_now(self, message: Error) -> Step:
        if self.state is State.IDLE:
            self.end = f"refused:{message.code}"  # unless it tries again
        return self._retry(message.retry_after_seconds or RETRY_SECONDS)

    def _was_expected(self, code: ErrorCode) -> bool:
        for codes in self._expected:
            if code in codes:
                self._expected.remove(codes)
                return True
        if self._expected and code is ErrorCode.RATE_LIMITED:
            self._expected.popleft()  # the wrong message was not even looked at
            return True
        return False

    def _retry(self, seconds: float) -> Step:
        self.retry_after_seconds = seconds
        return Step.RETRY

    def _on_place_lost(self) -> Step:
        self._resume_sent = False
        if self.state is State.MATCHED:
            return Step.PLAY  # the record has expired; the player knows where to go
        if self.leaving:  # it did leave; the answer went down with the link
            self.state, self.end = State.LEFT, "dequeued:requested"
            return Step.END
        self.places_lost += 1
        self._begin_anew()
        return self._retry(0.0)
