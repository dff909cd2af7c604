"""The whole product in its own processes, and a Chromium that looks at it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from app.pages.shell import DIST, entry_files
from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
START_LIMIT_S = 60.0
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
expect.set_options(timeout=15_000)  # a busy machine is no reason to fail
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 375, "height": 812}


@dataclass
class Product:
    """A running `tally up` in a folder of its own."""

    url: str
    process: subprocess.Popen[bytes]

    @contextlib.contextmanager
    def worker_asleep(self) -> Iterator[None]:
        """Stop the worker where it is, as a busy machine would, and wake it up again."""
        workers = [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if child.cmdline()[-1:] == ["worker"]
        ]
        assert workers, "tally up runs no worker"
        for worker in workers:
            worker.suspend()
        try:
            yield
        finally:
            for worker in workers:
                worker.resume()


@pytest.fixture(scope="session")
def product(server_folder: Path) -> Iterator[Product]:
    """Start the product with an empty database on a free port."""
    if entry_files(DIST) is None:
        pytest.fail("the frontend is not built: make setup builds it", pytrace=False)
    port, folder = free_port(), server_folder / "product"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    python_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment |= {
        "TALLY_PORT": str(port),
        "TALLY_RATE_LIMIT_PER_MINUTE": "100000",
        "PYTHONPATH": python_path,
    }
    log = (folder / "up.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "up"], cwd=folder, env=environment, stdout=log, stderr=log
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz", process, folder / "up.log")
        yield Product(f"http://127.0.0.1:{port}", process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_LIMIT_S)
        log.close()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"tally up did not start: {error}\n{log.read_text()[-3000:]}", pytrace=False)
            time.sleep(0.1)


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    """One Chromium for all tests of this process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page of the product, and everything in it that should not have happened."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """Parts of complaints that this test provokes."""

    def watch(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text} ({message.location.get('url')})")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("blob", "data") and f"{parts.scheme}://{parts.netloc}" != self.url:
            self.complaints.append(f"request to {request.url}")

    def unexpected(self) -> list[str]:
        return [one for one in self.complaints if not any(part in one for part in self.expected)]


@contextlib.contextmanager
def visiting(browser: Browser, product: Product, **settings: object) -> Iterator[Visit]:
    """Open a fresh browser profile; at the end nothing may have gone wrong in it."""
    with contextlib.closing(browser.new_context(**({"viewport": DESKTOP} | settings))) as context:
        context.set_default_timeout(30_000)
        visit = Visit(context.new_page(), product.url)
        visit.watch()
        yield visit
        assert visit.unexpected() == []


@pytest.fixture
def visit(browser: Browser, product: Product) -> Iterator[Visit]:
    """A visit at desktop size in the light theme."""
    with visiting(browser, product) as visit:
        yield visit
