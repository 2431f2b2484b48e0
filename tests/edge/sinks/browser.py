"""A headless Chromium, driven over its own debugging socket; no driver program is needed."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium():
    """Path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


class Browser:
    """One page of a headless Chromium with a profile of its own."""

    def __init__(self, program, profile):
        from websockets.sync.client import connect

        command = [
            program,
            "--headless=new",
            "--no-sandbox",  # tests may run as root in a container
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            port_file = profile / "DevToolsActivePort"
            self._wait_for(lambda: port_file.exists() and port_file.read_text().strip())
            port = port_file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=60) as reply:
                pages = [page for page in json.load(reply) if page["type"] == "page"]
            self._stack = contextlib.ExitStack()
            self._socket = self._stack.enter_context(
                connect(pages[0]["webSocketDebuggerUrl"], max_size=None, compression=None)
            )
        except BaseException:
            self._end()
            raise
        self._numbers = itertools.count(1)
        self.problems = []  # what the page complained about
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()
        self._end()

    def _end(self):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def call(self, method, **parameters):
        """A command of the DevTools protocol, and its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(30))
            if message.get("method") == "Runtime.exceptionThrown":
                self.problems.append(message["params"]["exceptionDetails"]["text"])
            if message.get("method") == "Log.entryAdded":
                self.problems.append(message["params"]["entry"]["text"])
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url):
        """Go to a page, and wait until it is there."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def open_live(self, url):
        """Go to a live page, wide, with no problem of the page before, and wait for its stream."""
        self.size(1100, 900)
        self.call("Page.navigate", url="about:blank")  # the page before may still seek its server
        self.problems.clear()
        self.open(url)
        self.wait_for("document.getElementById('link').textContent === 'connected'")

    def wait_for(self, expression, seconds=60.0):
        """Wait until an expression is true."""
        self._wait_for(lambda: self.evaluate(expression), seconds, expression)

    def size(self, width, height, *, dark=False, scale=1):
        """Size of the window, and light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )
        scheme = "dark" if dark else "light"
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def screenshot(self, path):
        """Write a PNG of what the window shows."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def _wait_for(self, condition, seconds=60.0, what="the browser"):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or self._process.poll() is not None:
                raise TimeoutError(f"{what}: not within {seconds} s")
            time.sleep(0.05)
