#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens the status page of a cfsd in a headless Chromium, as a person would who watches it.

usage: tests/tools/browser.py URL light|dark SCREENSHOT [TEXT]...

Waits until the page shows figures, latencies and each TEXT, then checks that it reported no error on the
console, asked nothing of other hosts (their names are not resolved), drew its graphs, kept the
colour scheme that was asked for and has contrast. Speaks WebDriver to chromedriver. The profile is
new and empty and goes with the browser. Exit status 1 after the reason.
"""
import base64
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
         "--window-size=1280,1900"]

# What the page shows: numbers of the tiles, how many canvases are not of one colour, its colours.
LOOK = """
const drawn = [...document.querySelectorAll("canvas")].filter(c => {
  if (!c.width || !c.height) return false;
  const pixels = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] > 0) return true;
  return false;
});
const style = getComputedStyle(document.body);
return {text: document.body.innerText, state: document.getElementById("state").className,
        values: [...document.querySelectorAll(".value")].map(e => e.textContent),
        looks: looks.length, canvases: document.querySelectorAll("canvas").length, drawn: drawn.length,
        rows: [...document.querySelectorAll("td")].filter(e => /^[0-9.]+ (ms|s|µs)$/.test(e.textContent)).length, wide: document.documentElement.scrollWidth - innerWidth,
        background: style.backgroundColor, color: style.color};
"""


class Browser:
    """A chromedriver session; ends with the context."""

    def __init__(self, profile):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.at = f"http://127.0.0.1:{port}"
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        options = {"args": FLAGS + [f"--user-data-dir={profile}"]}
        for _ in range(100):
            with contextlib.suppress(OSError):
                if self.call("GET", "/status")["ready"]:
                    break
            time.sleep(0.1)
        reply = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = f"/session/{reply['sessionId']}"

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.at + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)["value"]

    def do(self, method, path, body=None):
        return self.call(method, self.session + path, body)

    def end(self):
        with contextlib.suppress(Exception):
            self.call("DELETE", self.session)
        self.driver.terminate()
        self.driver.wait()


def brightness(color):
    red, green, blue = (int(c) for c in color[color.index("(") + 1:-1].split(",")[:3])
    return (299 * red + 587 * green + 114 * blue) / 1000


def wrong(look, scheme, texts):
    """What is not as it should be, or None."""
    if look["state"] == "bad":
        return "the page says that cfsd does not answer"
    if not look["values"] or not all(look["values"]):
        return f"no figures: {look['values']}"
    missing = [t for t in texts if t.lower() not in look["text"].lower()]
    if missing:
        return f"not shown: {missing}"
    if look["looks"] < 6:
        return f"the page looked {look['looks']} times"
    if look["drawn"] < 3 or look["rows"] == 0:
        return f"{look['drawn']} of {look['canvases']} graphs are drawn, {look['rows']} latencies are shown"
    back, front = brightness(look["background"]), brightness(look["color"])
    if (back < 128) != (scheme == "dark") or abs(back - front) < 125:
        return f"{scheme}: {look['color']} on {look['background']}"
    return f"{look['wide']} pixels wider than the window" if look["wide"] > 0 else None


def check(browser, url, scheme, screenshot, texts):
    browser.do("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]}})
    browser.do("POST", "/url", {"url": url})
    end = time.monotonic() + 60
    while True:
        problem = wrong(browser.do("POST", "/execute/sync", {"script": LOOK, "args": []}), scheme, texts)
        if problem is None or time.monotonic() > end:
            break
        time.sleep(0.5)
    with open(screenshot, "wb") as f:
        f.write(base64.b64decode(browser.do("GET", "/screenshot")))
    # "rendering": that we read what the graphs are made of
    said = [e["message"] for e in browser.do("POST", "/se/log", {"type": "browser"})
            if e["level"] in ("SEVERE", "WARNING") and not e["message"].startswith("rendering ")]
    return problem or (f"on the console: {said}" if said else None)


def main():
    if len(sys.argv) < 4 or sys.argv[2] not in ("light", "dark"):
        print(__doc__, file=sys.stderr)
        return 2
    url, scheme, screenshot, *texts = sys.argv[1:]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        try:
            problem = check(browser, url, scheme, screenshot, texts)
        finally:
            browser.end()
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
