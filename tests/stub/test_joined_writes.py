"""What is written in one pass of the loop leaves together, in order and in bounds."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dedicated_server_stub.joined_writes import BATCH_BYTES, JoinedWrites


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 42


def run(scenario: Callable[[FakeTransport, JoinedWrites], Awaitable[None]]) -> None:
    async def with_transport() -> None:
        transport = FakeTransport()
        await scenario(transport, JoinedWrites(transport, asyncio.get_running_loop()))

    asyncio.run(with_transport())


def test_writes_of_one_pass_leave_in_one() -> None:
    async def scenario(transport: FakeTransport, joined: JoinedWrites) -> None:
        for data in (b"a", b"b", b"c"):
            joined.write(data)
        assert transport.written == []
        await asyncio.sleep(0)
        joined.write(b"d")
        await asyncio.sleep(0)
        assert transport.written == [b"abc", b"d"]

    run(scenario)


@pytest.mark.parametrize(
    ("sizes", "written"),
    [
        ([BATCH_BYTES // 2] * 4, [BATCH_BYTES] * 2),
        ([100, BATCH_BYTES, 100], [100, BATCH_BYTES, 100]),
        ([100, 5 * BATCH_BYTES, 100, 100], [100, 5 * BATCH_BYTES, 200]),
    ],
)
def test_a_batch_has_its_bounds(sizes: list[int], written: list[int]) -> None:
    async def scenario(transport: FakeTransport, joined: JoinedWrites) -> None:
        for number, size in enumerate(sizes):
            joined.write(bytes([number]) * size)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert list(map(len, transport.written)) == written
        assert b"".join(transport.written) == b"".join(bytes([n]) * size for n, size in enumerate(sizes))

    run(scenario)


def test_a_close_comes_after_what_was_written() -> None:
    async def scenario(transport: FakeTransport, joined: JoinedWrites) -> None:
        joined.write(b"last words")
        joined.close()
        assert transport.written == [b"last words"]
        assert transport.closed
        joined.write(b"too late")
        await asyncio.sleep(0)
        assert joined.get_write_buffer_size() == 42  # everything else is the transport's

    run(scenario)
