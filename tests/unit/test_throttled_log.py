"""One line a second of each kind, and a count of the rest."""

import asyncio

from structlog.typing import EventDict

from match_server.throttled_log import ThrottledLog
from tests.unit import virtual_time


def test_a_flood_is_one_line_a_second_with_a_count_of_the_rest(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        throttled = ThrottledLog()
        for number in range(100):
            throttled.warning("refused", "401", number=number)
        assert logs == [{"event": "refused", "log_level": "warning", "number": 0}]
        await asyncio.sleep(0.9)
        assert len(logs) == 1
        await asyncio.sleep(0.2)
        assert logs[1:] == [{"event": "refused", "log_level": "warning", "number": 99, "more": 98}]
        throttled.warning("refused", "401", number=100)
        assert len(logs) == 2, "not two within one second"
        await asyncio.sleep(5)
        assert logs[2:] == [{"event": "refused", "log_level": "warning", "number": 100, "more": 0}]
        throttled.warning("refused", "401", number=101)
        assert logs[3:] == [{"event": "refused", "log_level": "warning", "number": 101}], "at once, after a silence"
        await asyncio.sleep(5)
        assert len(logs) == 4

    virtual_time.run(scenario())


def test_one_kind_does_not_hide_another(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        throttled = ThrottledLog()
        for kind in ("401", "422", "401", "422"):
            throttled.warning("refused", kind, status=kind)
        assert [line["status"] for line in logs] == ["401", "422"]

    virtual_time.run(scenario())
