"""The WebSocket close codes of a room, and what they ask of the client."""

from enum import IntEnum


class RoomClose(IntEnum):
    """Why a connection is closed."""

    NORMAL = 1000  # the game is over, or the player has left
    POLICY = 1008  # floods; do not come back at once
    CRASHED = 1011  # a bug of the rules ended the room; the session is over
    TOO_SLOW = 1013  # read too slowly; come back with the same token
    TAKEN_OVER = 4000  # a newer connection plays for this player; do not come back
    UNAUTHORIZED = 4401  # no token in time, or a wrong one
    FORBIDDEN = 4403  # the token is for another session
    SESSION_OVER = 4410  # the session is over, or this player has left it or was dropped
