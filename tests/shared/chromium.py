"""A real Chromium, where there is one, and what axe finds on a page in it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

MISSING = "no Chromium here: apt-get install chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 30.0  # for anything that a page is to show, on a slow machine


def binary() -> str | None:
    """Where it is; None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def needs_chromium() -> pytest.MarkDecorator:
    """Skips a test where there is none; CI has to have one."""
    return pytest.mark.skipif(binary() is None and os.environ.get("CI") != "true", reason=MISSING)


class Chromium:
    """One browser for the tests of a module, with a profile that nobody has used; a context manager."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()  # the browser is of one event loop, so that of all its tests
        self._stack = AsyncExitStack()
        self._browser: Browser

    def __enter__(self) -> Self:
        self.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._stack.aclose())
        self._runner.close()

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        self._runner.run(story)

    async def _start(self) -> None:
        found = binary()
        assert found, MISSING
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
        playwright = await self._stack.enter_async_context(async_playwright())
        launched = await playwright.chromium.launch(executable_path=found, args=[*_ARGUMENTS, *as_root])
        self._stack.push_async_callback(launched.close)
        self._browser = launched

    @asynccontextmanager
    async def page(self, **options: Any) -> AsyncIterator[Page]:
        """A page of a visitor whom nobody knows. It must have no error of its own in its console in the end."""
        context = await self._browser.new_context(**options)
        context.set_default_timeout(SECONDS * 1000)
        errors: list[str] = []
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        try:
            yield page
        finally:
            await context.close()
        expected = ("Failed to load resource", "net::ERR")  # what a refused or lost call leaves there
        assert [error for error in errors if not any(words in error for words in expected)] == []


async def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds on the page as it is: the rule, and the elements that break it."""
    found = await Axe().run(page)
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found.response["violations"]]
