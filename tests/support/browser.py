"""A real Chromium with a page in it, driven by Playwright."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page, Route

DEADLINE = 60.0
CHROMIUM = "/usr/bin/chromium"
MODULES = Path(__file__).parents[1] / "typescript" / "node_modules"
# Where browsers find what the official client imports by bare names.
IMPORTS = {
    "sandbox-agent": "/modules/sandbox-agent/dist/index.js",
    "acp-http-client": "/modules/acp-http-client/dist/index.js",
    "@agentclientprotocol/sdk": "/modules/@agentclientprotocol/sdk/dist/acp.js",
    "@sandbox-agent/cli-shared": "/modules/@sandbox-agent/cli-shared/dist/index.js",
    "zod": "/modules/zod/index.js",
    "zod/v4": "/modules/zod/v4/index.js",
}


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without windows."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


async def until(page: Page, expression: str) -> Any:
    """The first true value of an expression in the page.

    Playwright's own way evaluates text inside the page, which pages with a policy forbid.
    """
    end = time.monotonic() + DEADLINE
    while not (value := await page.evaluate(f"() => ({expression})")):
        if time.monotonic() > end:
            shown = await page.evaluate("() => JSON.stringify(window.stream ?? document.body.innerText)")
            raise AssertionError(f"{expression} did not come true; the page: {shown}")
        await page.wait_for_timeout(20)
    return value


async def with_client(page: Page, url: str) -> None:
    """Open a page of the server, in which `import("sandbox-agent")` is the official client.

    It must be a real one: a page that never came over the network may not connect to this machine.
    """

    async def answer(route: Route) -> None:
        await route.fulfill(
            path=MODULES / route.request.url.removeprefix(f"{url}/modules/"), content_type="text/javascript"
        )

    await page.route(f"{url}/modules/**", answer)
    await page.goto(f"{url}/")
    await page.evaluate(
        """(imports) => {
          const map = document.createElement("script");
          map.type = "importmap";
          map.textContent = JSON.stringify({ imports });
          document.head.append(map);
        }""",
        IMPORTS,
    )
