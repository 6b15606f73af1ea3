from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClientMessage(_message.Message):
    __slots__ = ("join", "move", "tag", "chat", "ack", "snapshot", "leave", "ping")
    JOIN_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    CHAT_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    join: Join
    move: Move
    tag: Tag
    chat: Chat
    ack: Ack
    snapshot: Snapshot
    leave: Leave
    ping: Ping
    def __init__(self, join: _Optional[_Union[Join, _Mapping]] = ..., move: _Optional[_Union[Move, _Mapping]] = ..., tag: _Optional[_Union[Tag, _Mapping]] = ..., chat: _Optional[_Union[Chat, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., leave: _Optional[_Union[Leave, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ...) -> None: ...

class Join(_message.Message):
    __slots__ = ("join_token",)
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    join_token: str
    def __init__(self, join_token: _Optional[str] = ...) -> None: ...

class Move(_message.Message):
    __slots__ = ("seq", "x", "y", "z", "yaw")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    YAW_FIELD_NUMBER: _ClassVar[int]
    seq: int
    x: int
    y: int
    z: int
    yaw: int
    def __init__(self, seq: _Optional[int] = ..., x: _Optional[int] = ..., y: _Optional[int] = ..., z: _Optional[int] = ..., yaw: _Optional[int] = ...) -> None: ...

class Tag(_message.Message):
    __slots__ = ("seq", "player_id")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    seq: int
    player_id: str
    def __init__(self, seq: _Optional[int] = ..., player_id: _Optional[str] = ...) -> None: ...

class Chat(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Leave(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("welcome", "player_joined", "player_left", "state", "chat", "tagged", "rejected", "ended", "error", "pong", "notice")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    PLAYER_JOINED_FIELD_NUMBER: _ClassVar[int]
    PLAYER_LEFT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CHAT_FIELD_NUMBER: _ClassVar[int]
    TAGGED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    player_joined: PlayerJoined
    player_left: PlayerLeft
    state: State
    chat: Said
    tagged: Tagged
    rejected: Rejected
    ended: Ended
    error: Error
    pong: Pong
    notice: Notice
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., player_joined: _Optional[_Union[PlayerJoined, _Mapping]] = ..., player_left: _Optional[_Union[PlayerLeft, _Mapping]] = ..., state: _Optional[_Union[State, _Mapping]] = ..., chat: _Optional[_Union[Said, _Mapping]] = ..., tagged: _Optional[_Union[Tagged, _Mapping]] = ..., rejected: _Optional[_Union[Rejected, _Mapping]] = ..., ended: _Optional[_Union[Ended, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class PlayerState(_message.Message):
    __slots__ = ("player_id", "x", "y", "z", "yaw", "score", "seq", "team", "number")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    YAW_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    x: int
    y: int
    z: int
    yaw: int
    score: int
    seq: int
    team: str
    number: int
    def __init__(self, player_id: _Optional[str] = ..., x: _Optional[int] = ..., y: _Optional[int] = ..., z: _Optional[int] = ..., yaw: _Optional[int] = ..., score: _Optional[int] = ..., seq: _Optional[int] = ..., team: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class Changes(_message.Message):
    __slots__ = ("number", "x", "y", "z", "yaw", "score", "seq")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    YAW_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    number: _containers.RepeatedScalarFieldContainer[int]
    x: _containers.RepeatedScalarFieldContainer[int]
    y: _containers.RepeatedScalarFieldContainer[int]
    z: _containers.RepeatedScalarFieldContainer[int]
    yaw: _containers.RepeatedScalarFieldContainer[int]
    score: _containers.RepeatedScalarFieldContainer[int]
    seq: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, number: _Optional[_Iterable[int]] = ..., x: _Optional[_Iterable[int]] = ..., y: _Optional[_Iterable[int]] = ..., z: _Optional[_Iterable[int]] = ..., yaw: _Optional[_Iterable[int]] = ..., score: _Optional[_Iterable[int]] = ..., seq: _Optional[_Iterable[int]] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_id", "player_id", "tick", "tick_hz", "bounds", "speed", "players", "chat")
    class BoundsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Range
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Range, _Mapping]] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    TICK_FIELD_NUMBER: _ClassVar[int]
    TICK_HZ_FIELD_NUMBER: _ClassVar[int]
    BOUNDS_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    PLAYERS_FIELD_NUMBER: _ClassVar[int]
    CHAT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    player_id: str
    tick: int
    tick_hz: float
    bounds: _containers.MessageMap[str, Range]
    speed: float
    players: _containers.RepeatedCompositeFieldContainer[PlayerState]
    chat: _containers.RepeatedCompositeFieldContainer[Said]
    def __init__(self, session_id: _Optional[str] = ..., player_id: _Optional[str] = ..., tick: _Optional[int] = ..., tick_hz: _Optional[float] = ..., bounds: _Optional[_Mapping[str, Range]] = ..., speed: _Optional[float] = ..., players: _Optional[_Iterable[_Union[PlayerState, _Mapping]]] = ..., chat: _Optional[_Iterable[_Union[Said, _Mapping]]] = ...) -> None: ...

class PlayerJoined(_message.Message):
    __slots__ = ("player_id", "rejoining")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    REJOINING_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    rejoining: bool
    def __init__(self, player_id: _Optional[str] = ..., rejoining: _Optional[bool] = ...) -> None: ...

class PlayerLeft(_message.Message):
    __slots__ = ("player_id", "rejoining")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    REJOINING_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    rejoining: bool
    def __init__(self, player_id: _Optional[str] = ..., rejoining: _Optional[bool] = ...) -> None: ...

class State(_message.Message):
    __slots__ = ("tick", "players", "full", "out_of_sight", "changes")
    TICK_FIELD_NUMBER: _ClassVar[int]
    PLAYERS_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_SIGHT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    tick: int
    players: _containers.RepeatedCompositeFieldContainer[PlayerState]
    full: bool
    out_of_sight: _containers.RepeatedScalarFieldContainer[str]
    changes: _containers.RepeatedCompositeFieldContainer[Changes]
    def __init__(self, tick: _Optional[int] = ..., players: _Optional[_Iterable[_Union[PlayerState, _Mapping]]] = ..., full: _Optional[bool] = ..., out_of_sight: _Optional[_Iterable[str]] = ..., changes: _Optional[_Iterable[_Union[Changes, _Mapping]]] = ...) -> None: ...

class Said(_message.Message):
    __slots__ = ("player_id", "text", "tick")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TICK_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    text: str
    tick: int
    def __init__(self, player_id: _Optional[str] = ..., text: _Optional[str] = ..., tick: _Optional[int] = ...) -> None: ...

class Tagged(_message.Message):
    __slots__ = ("id", "by", "player_id", "scores")
    class ScoresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    id: int
    by: str
    player_id: str
    scores: _containers.ScalarMap[str, int]
    def __init__(self, id: _Optional[int] = ..., by: _Optional[str] = ..., player_id: _Optional[str] = ..., scores: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Rejected(_message.Message):
    __slots__ = ("seq", "reason", "x", "y", "z", "yaw")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    YAW_FIELD_NUMBER: _ClassVar[int]
    seq: int
    reason: str
    x: int
    y: int
    z: int
    yaw: int
    def __init__(self, seq: _Optional[int] = ..., reason: _Optional[str] = ..., x: _Optional[int] = ..., y: _Optional[int] = ..., z: _Optional[int] = ..., yaw: _Optional[int] = ...) -> None: ...

class Ended(_message.Message):
    __slots__ = ("id", "result")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    id: int
    result: _struct_pb2.Struct
    def __init__(self, id: _Optional[int] = ..., result: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("id", "text")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    id: int
    text: str
    def __init__(self, id: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "retry_after_seconds")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retry_after_seconds: float
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_seconds: _Optional[float] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
