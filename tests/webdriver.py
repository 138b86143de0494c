"""`Browser`: headless Chromium by WebDriver, with nothing but the standard library.

https://www.w3.org/TR/webdriver2/; `cdp` and `console` are chromedriver's own.
"""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TAB, ENTER, SPACE = "\ue004", "\ue007", " "
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)


class Browser:
    """One window. Every method waits until the browser has done it."""

    def __init__(self, port: int, profile: Path) -> None:
        self._port = port
        self._path = "/session"
        options = {
            "binary": CHROMIUM,
            "args": [*FLAGS, f"--user-data-dir={profile}"],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._path = f"/session/{made['sessionId']}"

    def _call(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            data = None if method in ("GET", "DELETE") else json.dumps(body or {})
            connection.request(method, self._path + path, data)
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{value['error']}: {value['message'][:500]}")
        return value

    def open(self, url: str) -> None:
        """Goes there and waits until it is loaded."""
        self._call("POST", "/url", {"url": url})

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self._call("GET", "/url"))

    def run(self, script: str, *args: object) -> Any:
        """What a function body of JavaScript returns. It runs beside the page's own policy."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def click(self, css: str) -> None:
        """Clicks the first of these."""
        found = self._call("POST", "/element", {"using": "css selector", "value": css})
        self._call("POST", f"/element/{found[_ELEMENT]}/click")

    def press(self, keys: str) -> None:
        """Presses keys, one after the other, where the focus is."""
        acts = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": acts}]})

    def cdp(self, command: str, **params: object) -> Any:
        """A command of the Chrome DevTools Protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def size(self, width: int, height: int = 900) -> None:
        """The window's inside, in CSS pixels."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def dark(self, wanted: bool) -> None:
        """Whether the person's system is dark; it also says that nothing should move."""
        scheme = "dark" if wanted else "light"
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.cdp("Emulation.setEmulatedMedia", features=features)

    def scripts(self, wanted: bool) -> None:
        """Whether pages may run scripts; `run` goes on working."""
        self.cdp("Emulation.setScriptExecutionDisabled", value=not wanted)

    def console(self) -> list[str]:
        """What the browser complained of since the last call."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [f"{entry['level']}: {entry['message']}" for entry in entries]

    def picture(self, file: Path) -> None:
        """The whole page as a PNG."""
        whole = self.cdp("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(whole["data"]))

    def until(self, script: str, seconds: float = 10.0) -> Any:
        """What the script returns, once that is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, script
            time.sleep(0.02)
        return value

    def quit(self) -> None:
        """Ends it."""
        self._call("DELETE", "")


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(DRIVER), f"--port={port}", "--silent"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        one = Browser(port, profile)
        try:
            yield one
        finally:
            one.quit()
    finally:
        driver.terminate()
        driver.wait(10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "chromedriver does not listen"
            time.sleep(0.02)
        else:
            return
