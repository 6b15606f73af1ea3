"""What a matched player does at its dedicated server: it joins its room, moves, listens, acknowledges and leaves.

| manner | what it does | what should come of it |
|---|---|---|
| `plays` | moves as fast as it may, says hello, acknowledges | sees every move of the others |
| `drops` | cuts its connection at half-time, and comes back with the same token | is where it was |
| `teleports` | leaps across the square at half-time | `rejected`, and stays where it was |
| `floods` | sends thousands of frames at half-time | closed with 1008 |
| `stalls` | reads nothing for a second at half-time | hears the newest state afterwards |
"""

import asyncio
import math
from collections.abc import Sequence
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

from match_server.protocol import MatchFound
from test_client.room_frames import FrameForm, Said, frames_of
from test_client.rooms import RoomLedger

WELCOME_SECONDS = 5.0
AWAY_SECONDS = 0.3  # well within the time in which a room takes a lost player back
STALL_SECONDS = 1.0
FLOOD_FRAMES = 2_000
SAFE_SHARE = 0.8  # of the fastest that the room allows, as the ticks of two machines never agree
MANNERS: Sequence[str] = ("plays", "drops", "teleports", "floods", "stalls")
COME_BACK_SECONDS = 30.0
_ABUSE, _GONE = 1008, 4410
_LINK_LOST = frozenset({"dropped", "closed_1006", "closed_1013"})


class RoomVisit:
    """One player's stay in the room of its match.

    Args:
        found: where to go, and the token to show.
        player_id: who this is.
        ledger: what all players of the run see.
        seconds: how long to play; 0: be welcomed and leave.
        move_hz: moves a second.
        manner: one of `MANNERS`.
        form: of the frames, both ways.
        rng: its own chance.
    """

    def __init__(
        self,
        found: MatchFound,
        player_id: str,
        *,
        ledger: RoomLedger,
        seconds: float,
        move_hz: float,
        manner: str,
        form: FrameForm,
        rng: Random,
    ) -> None:
        self._found = found
        self._player_id = player_id
        self._ledger = ledger
        self._visit = ledger.visit(found.session_id, player_id, found.players)
        self._visit.floods = manner == "floods"
        self._visit.reliable = manner in {"plays", "drops"}
        self._seconds = seconds
        self._move_hz = move_hz
        self._manner = manner
        self._frames = frames_of(form)
        self._heading = rng.uniform(0, math.tau)
        self._turn = rng.uniform(-1, 1)
        self._place: dict[str, float] = {}
        self._seq = 0
        self._acted = manner == "plays"
        self._rejected = False
        self._first_tick_at: float | None = None

    async def run(self) -> str | None:
        """Play to the end. Returns what went wrong in a word, or None.

        An address that is no `ws://` or `wss://` is not for us to try: None.
        """
        if not self._found.server_address.startswith(("ws://", "wss://")):
            return None
        if self._found.join_token is None:
            return "no_token"
        begun = _now()
        failure = await self._use_a_link(begun + self._seconds)
        while failure in _LINK_LOST:
            failure = await self._come_back(begun + self._seconds)
        self._visit.left_at = _now()
        self._visit.seconds = self._visit.left_at - begun
        if failure is None and self._manner == "teleports" and self._acted and not self._rejected:
            return "not_rejected"
        return failure

    async def _come_back(self, until: float) -> str | None:
        """Try again with the same token, for as long as a room takes a lost player back: its process may have died."""
        give_up_at = _now() + COME_BACK_SECONDS
        while True:
            await asyncio.sleep(AWAY_SECONDS)
            failure = await self._use_a_link(until)
            if failure not in {"no_connection", "no_welcome"} or _now() > give_up_at:
                return failure

    async def _use_a_link(self, until: float) -> str | None:
        try:
            async with asyncio.timeout(WELCOME_SECONDS):
                link = await connect(
                    self._found.server_address,
                    subprotocols=[Subprotocol(self._frames.subprotocol)],
                    compression=None,
                    proxy=None,
                    close_timeout=1,
                )
        except (OSError, InvalidHandshake, InvalidURI):  # TimeoutError is an OSError
            return "no_connection"
        async with link:
            try:
                async with asyncio.timeout(WELCOME_SECONDS):
                    await self._send(link, type="join", join_token=self._found.join_token)
                    welcome = self._frames.read(await link.recv())
            except ConnectionClosed:
                return "room_gone" if link.close_code == _GONE else "no_welcome"
            except TimeoutError:
                return "no_welcome"
            if welcome.get("type") != "welcome":
                return "no_welcome"
            return await self._play(link, welcome, until) if self._seconds else None

    async def _play(self, link: ClientConnection, welcome: Said, until: float) -> str | None:
        self._visit.connected_at = _now()
        self._first_tick_at = None
        self._visit.seen.clear()
        self._meet(welcome["players"])
        (me,) = (player for player in welcome["players"] if player["player_id"] == self._player_id)
        self._place, self._seq = {axis: me[axis] for axis in ("x", "y", "z")}, max(self._seq, me["seq"])
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listen(link, welcome["tick_hz"]))
            moving = tasks.create_task(self._move(link, welcome, until))
            await asyncio.wait((listening, moving), return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            moving.cancel()
        if not moving.cancelled():
            return moving.result()
        code = listening.result()  # the room has closed
        if code in {1000, _ABUSE if self._manner == "floods" else 1000}:
            return None
        return f"closed_{code}"

    # --- out ---

    async def _move(self, link: ClientConnection, welcome: Said, until: float) -> str | None:
        """Move until it is time to leave, or the manner breaks the link off."""
        half_time = until - self._seconds / 2
        step = SAFE_SHARE * welcome["speed"] / self._move_hz
        due = _now()
        try:
            await self._send(link, type="chat", text=f"hello from {self._player_id}")
            while (now := _now()) < until:
                if not self._acted and now >= half_time:
                    self._acted = True
                    if self._manner == "drops":
                        link.transport.abort()
                        return "dropped"
                    await self._misbehave(link, welcome["bounds"])
                self._walk(step, welcome["bounds"])
                await self._send_move(link, self._place)
                due = max(due + 1 / self._move_hz, _now())
                await asyncio.sleep(due - _now())
            await self._send(link, type="leave")
        except ConnectionClosed:
            await asyncio.Event().wait()  # the listener says why, and ends this
        return None

    async def _misbehave(self, link: ClientConnection, bounds: Said) -> None:
        match self._manner:
            case "teleports":
                low, high = bounds["x"]
                far = high if self._place["x"] < (low + high) / 2 else low
                await self._send_move(link, {**self._place, "x": far})
            case "floods":
                for _ in range(FLOOD_FRAMES):
                    await self._send(link, type="ping")
            case "stalls":
                link.transport.pause_reading()
                await asyncio.sleep(STALL_SECONDS)
                link.transport.resume_reading()

    async def _send_move(self, link: ClientConnection, place: dict[str, float]) -> None:
        self._seq += 1
        # Before the await: others may see the move as soon as the bytes have left.
        self._visit.seqs.append(self._seq)
        self._visit.times.append(_now())
        await self._send(link, type="move", seq=self._seq, yaw=round(self._heading, 3), **place)

    async def _send(self, link: ClientConnection, **message: Any) -> None:
        await link.send(self._frames.write(message))

    def _walk(self, step: float, bounds: Said) -> None:
        self._heading = (self._heading + self._turn / self._move_hz) % math.tau
        for axis, part in (("x", math.cos(self._heading)), ("y", math.sin(self._heading))):
            low, high = bounds[axis]
            self._place[axis] = round(min(max(self._place[axis] + step * part, low), high), 3)

    # --- in ---

    async def _listen(self, link: ClientConnection, tick_hz: float) -> int | None:
        """Take frames until the connection ends; return the code."""
        try:
            while True:
                frame = await link.recv()
                self._visit.bytes += len(frame)
                await self._take(link, self._frames.read(frame), tick_hz)
        except ConnectionClosed:
            return link.close_code

    async def _take(self, link: ClientConnection, frame: Said, tick_hz: float) -> None:
        match frame["type"]:
            case "state":
                now = _now()
                # The room's clock as this client sees it: the earliest tick so far shows it best.
                began = now - frame["tick"] / tick_hz
                self._first_tick_at = min(began, self._first_tick_at or began)
                self._ledger.tick_lag.add(began - self._first_tick_at)
                self._meet(frame["players"])
            case "player_joined":
                self._visit.met.add(frame["player_id"])
            case "rejected":
                self._ledger.rejections[frame["reason"]] += 1
                self._rejected = True
                self._place = {axis: frame[axis] for axis in ("x", "y", "z")}
                index = self._visit.seqs.index(frame["seq"])
                del self._visit.seqs[index], self._visit.times[index]
            case "tagged" | "ended" | "notice":
                await self._send(link, type="ack", id=frame["id"])

    def _meet(self, players: list[Said]) -> None:
        now = _now()
        for player in players:
            player_id = player["player_id"]
            self._visit.met.add(player_id)
            if player_id != self._player_id:
                self._ledger.saw(self._visit, player_id, player["seq"], now)


def _now() -> float:
    return asyncio.get_running_loop().time()
