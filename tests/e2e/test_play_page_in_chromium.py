"""The page on which a person plays, in a real Chromium: at a desk and on a phone, in light and in dark."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.e2e.test_play_page import dedicated_server
from tests.shared.chromium import SECONDS, Chromium, needs_chromium, violations
from tests.shared.node import Node, Process

pytestmark = [needs_chromium(), pytest.mark.timeout(180)]

DESKTOP, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)
TAG = "Tag who is near"
expect.set_options(timeout=SECONDS * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


@pytest.fixture
def node(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[Node]:
    """A node that lets the page in, which the dedicated server serves on another port."""
    with Node(tmp_path, redis_url, prefix, allowed_origins="http://127.0.0.1:*") as node:
        yield node


class Players:
    """Two pages in one match, and the server that they play on."""

    def __init__(self, ann: Page, bob: Page, server: Process) -> None:
        self.ann = ann
        self.bob = bob
        self.server = server


@asynccontextmanager
async def two_players(browser: Chromium, node: Node, folder: Path, **options: Any) -> AsyncIterator[Players]:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(dedicated_server(node, folder))
        base = server.wait_for_output(r"ready on (http://\S+)")[1]
        ann = await stack.enter_async_context(browser.page(**options))
        bob = await stack.enter_async_context(browser.page(**options))
        for page in (ann, bob):
            await page.goto(f"{base}/play?match={node.ws}&mode=Normal_1v1")
        for page in (ann, bob):
            await expect(page.locator("#status")).to_contain_text("0 points, 2 players")
        yield Players(ann, bob, server)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everything_is_in_sight_and_can_be_read(
    browser: Chromium, node: Node, tmp_path: Path, size: ViewportSize, scheme: str
) -> None:
    async def story() -> None:
        async with two_players(browser, node, tmp_path, viewport=size, color_scheme=scheme) as players:
            page = players.ann
            await expect(page.get_by_role("button", name=TAG)).to_be_enabled()
            assert await violations(page) == []
            for name in ("#status", "#square", "#tag", "#text", "#lines"):
                box = await page.locator(name).bounding_box()
                assert box is not None, name
                assert box["x"] >= 0, name
                assert box["x"] + box["width"] <= size["width"], name
                assert box["y"] + box["height"] <= size["height"], name

    browser.run(story())


def test_a_person_tags_moves_and_talks_with_the_keyboard(browser: Chromium, node: Node, tmp_path: Path) -> None:
    async def story() -> None:
        async with two_players(browser, node, tmp_path, viewport=DESKTOP) as players:
            ann, bob = players.ann, players.bob
            await ann.keyboard.press("Space")
            await expect(ann.locator("#status")).to_contain_text("1 point,")
            await expect(bob.locator("#lines")).to_contain_text("tagged web-")
            await ann.get_by_label("Say").fill("well played")
            await ann.keyboard.press("Enter")
            await expect(bob.locator("#lines")).to_contain_text("well played")
            await ann.locator("#square").click(position={"x": 1, "y": 1})
            await ann.get_by_label("Say").blur()
            await ann.keyboard.down("ArrowUp")
            await expect(bob.get_by_role("button", name=TAG)).to_be_disabled()  # it sees that she has gone
            await ann.keyboard.up("ArrowUp")

    browser.run(story())


def test_a_person_tags_and_moves_by_touch(browser: Chromium, node: Node, tmp_path: Path) -> None:
    async def story() -> None:
        async with two_players(browser, node, tmp_path, viewport=PHONE, has_touch=True, is_mobile=True) as players:
            ann, bob = players.ann, players.bob
            await ann.get_by_role("button", name=TAG).tap()
            await expect(ann.locator("#status")).to_contain_text("1 point,")
            square = ann.locator("#square")
            box = await square.bounding_box()
            assert box is not None
            corner = {"isPrimary": True, "clientX": box["x"] + 5, "clientY": box["y"] + 5, "pointerType": "touch"}
            await square.dispatch_event("pointerdown", corner)
            await expect(bob.get_by_role("button", name=TAG)).to_be_disabled()
            await square.dispatch_event("pointerup", corner)

    browser.run(story())


def test_a_lost_connection_and_an_end_are_said(browser: Chromium, node: Node, tmp_path: Path) -> None:
    async def story() -> None:
        async with two_players(browser, node, tmp_path, viewport=DESKTOP) as players:
            await players.bob.close()
            await expect(players.ann.locator("#status")).to_contain_text("nobody else here")
            players.server.kill()
            await expect(players.ann.locator("#status")).to_have_text("The connection is lost. Coming back…")
            await expect(players.ann.get_by_role("button", name=TAG)).to_be_disabled()

    browser.run(story())


def test_who_has_played_may_play_again(browser: Chromium, node: Node, tmp_path: Path) -> None:
    async def story() -> None:
        async with two_players(browser, node, tmp_path, viewport=DESKTOP) as players:
            players.server.stop()
            await expect(players.ann.locator("#status")).to_contain_text("The game is over.")
            await players.ann.get_by_role("button", name="Play again").click()
            await expect(players.ann.locator("#status")).to_have_text("Waiting for other players…")

    browser.run(story())
