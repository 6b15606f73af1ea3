"""The dashboard as somebody uses it, in a real Chromium."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.shared.chromium import SECONDS, Chromium, needs_chromium, violations
from tests.shared.dashboard import write_entry
from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, player_on, players_on, queue_all

pytestmark = [needs_chromium(), pytest.mark.timeout(180)]

SETTINGS = {"server_lease_seconds": 600, "game_modes": f"{MODE}:2, raid:5"}  # fake servers send no heartbeats
OPERATE, READ = "operate-0123456789", "read-0123456789"
DESKTOP, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)
expect.set_options(timeout=SECONDS * 1000)


@pytest.fixture(scope="module")
def keyed(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(
        tmp_path_factory.mktemp("node"),
        redis_url,
        "{chromium}:",
        admin_keys=f"ada:{OPERATE}:operate, grafana:{READ}:read",
    ) as node:
        yield node


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


async def log_in(page: Page, node: Node, key: str) -> None:
    await page.goto(node.base)
    await page.get_by_label("Operator key").fill(key)
    await page.keyboard.press("Enter")
    await expect(page.locator("#link")).to_have_text("Live")


def test_an_operator_logs_in_changes_what_goes_on_and_logs_out(browser: Chromium, keyed: Node) -> None:
    """With the keyboard alone."""

    async def story() -> None:
        async with AsyncExitStack() as stack:
            page = await stack.enter_async_context(browser.page())
            await page.goto(keyed.base)
            await expect(page.get_by_label("Operator key")).to_be_focused()
            assert await violations(page) == []
            await page.keyboard.type("wrong")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert").filter(has_text="no operator's key")).to_be_visible()
            await log_in(page, keyed, OPERATE)
            await expect(page.locator("#who")).to_have_text("ada")
            assert await page.evaluate("document.cookie") == "", "no script sees the cookie"

            await page.get_by_role("button", name=f"Pause {MODE}").press("Enter")
            dialog = page.get_by_role("dialog")
            await expect(dialog).to_contain_text(f"Pause {MODE}?")
            await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
            await page.keyboard.press("Escape")
            await expect(dialog).to_be_hidden()
            await page.get_by_role("button", name=f"Pause {MODE}").press("Enter")
            await dialog.get_by_role("button", name="Pause").press("Enter")
            resume = page.get_by_role("button", name=f"Resume {MODE}")
            await expect(resume).to_be_focused()  # the button that the focus was on has another name now
            await expect(page.locator("#events")).to_contain_text("queue.paused")
            await resume.press("Enter")
            await expect(page.get_by_role("button", name=f"Pause {MODE}")).to_be_visible()

            ann = await stack.enter_async_context(player_on(keyed, "ann"))
            await ann.queue()
            await page.get_by_label("Player id").fill("ann")
            await page.keyboard.press("Enter")
            found = page.locator("#found")
            await expect(found).to_contain_text("within reach of the matcher")
            await found.get_by_role("button", name="Take out of the queue").press("Enter")
            await dialog.get_by_role("button", name="Take out").press("Enter")
            await ann.expect("dequeued", reason="operator")
            await expect(found).to_contain_text("ann is out of its queue")

            await stack.enter_async_context(FakeServer(keyed, name="game-1"))
            await page.get_by_role("button", name="Drain game-1").press("Enter")
            await dialog.get_by_role("button", name="Drain").press("Enter")
            await expect(page.locator("#servers")).to_contain_text("draining")

            await page.get_by_role("button", name="Log out").press("Enter")
            await expect(page.get_by_label("Operator key")).to_be_visible()
            assert await page.context.cookies() == []

    browser.run(story())


def test_a_page_goes_on_after_a_login_in_another_tab(browser: Chromium, keyed: Node) -> None:
    """It replaces the cookie, and the token that changes bring with them."""

    async def story() -> None:
        async with browser.page() as page:
            await log_in(page, keyed, OPERATE)
            answer = await page.context.request.post(f"{keyed.base}/login", form={"key": OPERATE})
            assert answer.ok
            await page.get_by_role("button", name=f"Pause {MODE}").click()
            await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
            await page.get_by_role("button", name=f"Resume {MODE}").click()
            await expect(page.get_by_role("button", name=f"Pause {MODE}")).to_be_visible()

    browser.run(story())


def test_a_key_that_may_read_sees_no_button_that_changes_anything(browser: Chromium, keyed: Node) -> None:
    async def story() -> None:
        async with browser.page() as page, FakeServer(keyed, name="game-2"):
            async with player_on(keyed, "bob") as bob:
                await bob.queue()
                await log_in(page, keyed, READ)
                await expect(page.locator("#servers")).to_contain_text("game-2")
                await page.get_by_label("Player id").fill("bob")
                await page.keyboard.press("Enter")
                await expect(page.locator("#found")).to_contain_text("queued")
            buttons = await page.get_by_role("button").all_inner_texts()
            assert {"Pause", "Resume", "Drain", "Take out of the queue"} & set(buttons) == set()

    browser.run(story())


def test_what_players_call_themselves_is_text(browser: Chromium, node: Node) -> None:
    """No script would write such an id. It is written here past them."""
    hostile = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"

    async def story() -> None:
        async with browser.page() as page:
            await page.goto(node.base)
            await expect(page.locator("#link")).to_have_text("Live")
            write_entry(node, f"player.queued\t{hostile}\t{MODE}\t0\t")
            await expect(page.locator("#events .about").first).to_have_text(hostile)
            assert await page.title() == "match-server"
            assert await page.locator("#events script, #events img").count() == 0
            await page.get_by_role("button", name="document.title").first.click()  # looked up: no id of a player
            await expect(page.locator("#found")).to_contain_text("A player id has")

    browser.run(story())


VIEWS = [(scheme, size) for scheme in ("light", "dark") for size in (DESKTOP, PHONE)]


def test_axe_finds_nothing_in_light_and_dark_on_a_desktop_and_a_phone(browser: Chromium, node: Node) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(FakeServer(node, name="full", capacity=1, region="eu"))
            players = await stack.enter_async_context(players_on(node, *(f"p{number}" for number in range(5))))
            await queue_all(players)
            node.redis.hset(node.key("server:full"), "last_error", "answered 500")
            for scheme, size in VIEWS:
                page = await stack.enter_async_context(browser.page(color_scheme=scheme, viewport=size))
                await look_at(page, scheme)
                if (scheme, size) == VIEWS[0]:
                    await page.get_by_role("button", name=f"Pause {MODE}").click()
                    assert await violations(page) == [], "of a dialog"
                await page.context.close()

    async def look_at(page: Page, scheme: str) -> None:
        await page.goto(node.base)
        await expect(page.locator("#events .event").first).to_be_visible()
        await expect(page.locator("#servers")).to_contain_text("answered 500")
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(overflow) == 0
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(244, 246, 248)") == (scheme == "light")
        await page.get_by_label("Player id").fill("p4")
        await page.keyboard.press("Enter")
        await expect(page.locator("#found")).to_contain_text("p4")
        assert await violations(page) == []

    browser.run(story())


def test_events_are_filtered_and_held(browser: Chromium, node: Node) -> None:
    async def story() -> None:
        async with browser.page() as page, players_on(node, "ann", "bob") as (ann, bob):
            await page.goto(node.base)
            await ann.queue("raid")
            events = page.locator("#events .event")
            await expect(events.first).to_contain_text("ann")
            about_ann = events.first.get_by_role("button", name="ann")
            await about_ann.focus()
            await bob.queue("raid")
            await expect(page.locator("#events")).to_contain_text("bob")
            await expect(events.filter(has_text="ann").first.get_by_role("button")).to_be_focused()
            await bob.send("dequeue")
            await bob.expect("dequeued")
            await expect(events.first).to_contain_text("dequeued")
            await page.get_by_role("button", name="Hold").click()
            await bob.queue("raid")
            await expect(page.locator("#events-note")).to_have_text(re.compile(r"Held: [1-9]\d* newer"))
            await expect(events.first).to_contain_text("dequeued")
            await page.get_by_role("button", name="Hold").click()
            await expect(events.first).not_to_contain_text("dequeued")
            await page.get_by_label("Filter").fill("DEqueued bob")
            await expect(events).to_have_count(1)
            await page.get_by_label("Filter").fill("nobody of that name")
            await expect(page.locator("#events")).to_have_text("No event fits the filter.")

    browser.run(story())


def test_a_page_says_when_the_node_is_gone_and_goes_on_when_it_is_back(
    browser: Chromium, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    async def story(node: Node) -> None:
        async with browser.page() as page:
            await page.goto(node.base)
            await expect(page.locator("#link")).to_have_text("Live")
            await expect(page.locator("#servers-note")).to_contain_text("No dedicated server is registered")
            await expect(page.locator("#events")).to_contain_text("No events yet")
            port = node.port
            assert await asyncio.to_thread(node.stop) == 0
            await expect(page.locator("#link")).to_have_text("Connection lost")
            await expect(page.locator("#stale")).to_contain_text("The figures are from")
            assert await violations(page) == []
            with Node(tmp_path, redis_url, prefix, port=port) as another:
                await expect(page.locator("#link")).to_have_text("Live")
                await expect(page.locator("#stale")).to_be_hidden()
                await expect(page.locator("#nodes")).to_contain_text("this one")
                async with player_on(another, "ann") as ann:
                    await ann.queue()
                    await expect(page.locator("#events")).to_contain_text("ann")

    node: Any = Node(tmp_path, redis_url, prefix)
    with node:
        browser.run(story(node))


def test_each_pool_has_a_page(browser: Chromium, redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        async with browser.page() as page:
            await page.goto(node.base)
            await page.get_by_label("Pool").select_option("us")
            await page.wait_for_url("**/?pool=us")
            await expect(page.locator("#link")).to_have_text("Live")
            await page.get_by_role("button", name=f"Pause {MODE}").click()
            await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
            await expect(page.get_by_role("button", name=f"Resume {MODE}")).to_be_visible()

    with Node(tmp_path, redis_url, prefix.strip("{}:") + ":", pools="eu,us") as node:
        browser.run(story(node))
        eventually(lambda: node.get(f"/queues/{MODE}?pool=us")["paused"])
        assert not node.get(f"/queues/{MODE}?pool=eu")["paused"]
