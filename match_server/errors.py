"""Every exception this package raises, every error code and close code it sends.

    MatchServerError
     ├── SettingsError            a setting is wrong; the start ends with exit status 2
     ├── ScriptError              a Lua file is missing, malformed or does not fit its use
     ├── StoreUnavailable         Redis did not answer, or cannot work now
     │    └── StoreRefuses        Redis refuses for good: the password, a command, the database
     ├── InvalidMessage           a client's frame is not of the protocol (-> `invalid_message`)
     ├── RegistrationRefused      a dedicated server's registration breaks a rule (-> 422)
     └── ActorError
          ├── MailboxFull         the receiver has as much waiting as it may hold
          ├── ActorStopped        the receiver has ended and will not answer
          ├── ActorCrashed        the receiver crashed on the batch with this request; a fresh one takes its place
          └── AskTimeout          no answer within the time given

Expected outcomes (already queued, too late, full) are return values, never exceptions.
"""

from enum import IntEnum, StrEnum


class ErrorCode(StrEnum):
    """The `code` of an `error` frame. The connection stays open unless the comment says otherwise."""

    INVALID_MESSAGE = "invalid_message"
    INVALID_GAME_MODE = "invalid_game_mode"
    ALREADY_IN_QUEUE = "already_in_queue"
    NOT_IN_QUEUE = "not_in_queue"
    TOO_LATE = "too_late"
    WRONG_SESSION_ID = "wrong_session_id"
    INVALID_RESUME_TOKEN = "invalid_resume_token"  # noqa: S105 - a code, not a secret
    QUEUE_PAUSED = "queue_paused"
    INVALID_ATTRIBUTES = "invalid_attributes"
    INVALID_PARTY = "invalid_party"
    PARTY_MISMATCH = "party_mismatch"
    RATE_LIMITED = "rate_limited"  # repeated abuse closes with CloseCode.POLICY
    UNAUTHORIZED = "unauthorized"  # closes with CloseCode.UNAUTHORIZED
    SERVER_BUSY = "server_busy"
    INTERNAL_ERROR = "internal_error"


class CloseCode(IntEnum):
    """The WebSocket close codes and what they ask of the client."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002  # not WebSocket frames
    INVALID_PAYLOAD = 1007  # not UTF-8
    POLICY = 1008  # abuse; do not reconnect at once
    TOO_BIG = 1009  # message over the limit
    INTERNAL = 1011  # a bug of ours; reconnect and resume
    RESTARTING = 1012  # this node stops; reconnect within 2 s, to any node, and resume
    TOO_SLOW = 1013  # the client read too slowly; reconnect and resume
    TAKEN_OVER = 4000  # a newer connection owns this player; do not reconnect
    UNAUTHORIZED = 4401  # not authenticated
    GAVE_WAY = 4408  # the node is full and this connection never claimed a player; connect again to play


class MatchServerError(Exception):
    """The root: catch this to catch everything this package raises on purpose."""


class SettingsError(MatchServerError):
    """A setting is wrong. `str(error)` has one line per setting, each naming its variable."""


class ScriptError(MatchServerError):
    """A Lua script is missing, or its header does not fit its use."""


class StoreUnavailable(MatchServerError):
    """Redis could not be reached, or refused to work, until the deadline of the call."""


class StoreRefuses(StoreUnavailable):
    """Redis is there and refuses the password, a command or the database. Waiting will not help."""


class InvalidMessage(MatchServerError):
    """A frame does not follow the protocol; the text names the field and what was expected."""


class RegistrationRefused(MatchServerError):
    """A dedicated server's registration breaks a rule; the text names the field and the rule."""


class ActorError(MatchServerError):
    """A message could not be delivered or was not answered."""


class MailboxFull(ActorError):
    """The receiver's mailbox is at its cap."""


class ActorStopped(ActorError):
    """The receiver has ended."""


class ActorCrashed(ActorError):
    """The receiver crashed while it handled the batch that this request was in. It may have been carried out."""


class AskTimeout(ActorError):
    """The receiver gave no answer in time."""
