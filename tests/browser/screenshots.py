"""Makes the pictures of the dashboard in docs/images: three clusters with some load, in a browser without a window.

Usage: python -m tests.browser.screenshots [sign-in]    needs chromium; takes a minute. Then look at each of them.

With ``sign-in`` only the page to sign in is pictured, of a node that asks for keys and knows a provider.
"""

import asyncio
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from playwright.async_api import Browser, async_playwright

OUT = Path(__file__).parents[2] / "docs" / "images"
LOOKS = {"light": ("light", 1280, 720), "dark": ("dark", 1280, 720), "phone": ("light", 390, 760)}
PAGES = {
    "overview": "",
    "jobs": "/jobs",
    "dead": "/dead",
    "job": "/job/order-4711",
    "edit": "/job/order-4711/edit",
    "bulk": "/bulk?action=retry&state=dead",
    "schedules": "/schedules",
    "schedule": "/schedule/heartbeat",
    "destinations": "/destinations",
    "destination": "/destination?host=SHOP",
    "clusters": "/clusters?id=order-4711",
    "new": "/new",
    "new-schedule": "/new/schedule",
}
PROVIDER = ("--oidc-issuer", "https://accounts.example", "--oidc-client-id", "hookline", "--oidc-label", "Example")
ROOT_KEY = "hkl_root_" + "p" * 40
ORDER = {"order": 4711, "paid": True, "total": "19.90"}
SECONDS = 40
CLUSTERS = ("--clusters", "3", "--proxies", "1")
CHANCE = random.Random(7)


class Receiver(BaseHTTPRequestHandler):
    """Answers by the path, most of the time well."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        time.sleep(CHANCE.choice((0.01, 0.03, 0.06)))
        kind = self.path.split("/")[1]
        is_bad = kind == "refused" or (kind == "flaky" and CHANCE.random() < 0.6)
        status, body = (503, b'{"error": "the database is away"}') if is_bad else (200, b'{"ok": true}')
        self.send_response(410 if kind == "refused" else status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def service(directory: Path, *options: str, **environment: str) -> Iterator[str]:
    command = [sys.executable, "-m", "hookline.cli.app", "up", "--port", "0", *options]
    command += ["--data-dir", str(directory), "--allow-private-destinations"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | environment
    )
    try:
        assert process.stdout
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait()


def send(url: str, document: Any, method: str = "POST") -> None:
    urlopen(Request(url, json.dumps(document).encode(), {"content-type": "application/json"}, method=method)).read()


def fill(url: str, shop: str) -> None:
    retry = {"max_attempts": 4, "schedule": ["2s", "3s", "5s"]}
    order = {"id": "order-4711", "url": f"{shop}/flaky/orders", "payload": ORDER, "labels": {"team": "shop"}}
    send(f"{url}/jobs", order | {"retry": retry, "headers": {"X-Shop": "berlin"}})
    for number in range(4):
        later = {"url": "https://crm.example/contacts", "payload": {"contact": number}, "delay": f"{number * 5 + 2}h"}
        send(f"{url}/jobs", later | {"labels": {"team": "crm"}})
    schedules = {
        "nightly-report": ("0 2 * * *", "Europe/Berlin", f"{shop}/ok/report"),
        "heartbeat": ("* * * * *", "UTC", f"{shop}/ok/heartbeat"),
        "invoices": ("30 8 1 * *", "America/New_York", "https://billing.example/invoices"),
    }
    for name, (cron, zone, target) in schedules.items():
        send(f"{url}/schedules", {"id": name, "cron": cron, "timezone": zone, "job": {"url": target}})
    send(f"{url}/schedules/invoices/pause", {})
    send(f"{url}/destinations/https://crm.example", {"concurrency": 5, "rate": {"limit": 100, "per": "1s"}}, "PUT")
    send(f"{url}/destinations/https://old.example", {"paused": True}, "PUT")
    send(f"{url}/jobs", {"url": "https://old.example/import", "payload": {"rows": 12}})


def load(url: str, shop: str, stop: threading.Event) -> None:
    while not stop.wait(0.05):
        kind = CHANCE.choices(("ok", "flaky", "refused"), (60, 5, 1))[0]
        number = CHANCE.randint(1_000, 9_999)
        job = {"url": f"{shop}/{kind}/orders/{number}", "payload": ORDER | {"order": number}}
        send(f"{url}/jobs/batch", {"jobs": [job | {"labels": {"team": "shop"}}] * CHANCE.randint(1, 4)})


async def shoot(browser: Browser, url: str, shop: str, look: str, pages: Mapping[str, str] = PAGES) -> None:
    scheme, width, height = LOOKS[look]
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = await context.new_page()
    for name, path in pages.items():
        await page.goto(f"{url}/dashboard{path.replace('SHOP', shop)}")
        await page.wait_for_timeout(SECONDS * 1_000 if name == "overview" else 500)
        picture = await page.screenshot()
        (OUT / f"dashboard-{name}-{look}.png").write_bytes(await asyncio.to_thread(packed, picture))
    await context.close()


def packed(picture: bytes) -> bytes:
    """The same PNG as small as zlib makes it; the browser is in a hurry."""
    chunks, place = [], 8
    while place < len(picture):
        (size,) = struct.unpack_from(">I", picture, place)
        chunks.append((picture[place + 4 : place + 8], picture[place + 8 : place + 8 + size]))
        place += 12 + size
    pixels = zlib.compress(zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT")), 9)
    kept = [one for one in chunks if one[0] in (b"IHDR", b"PLTE")] + [(b"IDAT", pixels), (b"IEND", b"")]
    return picture[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in kept
    )


async def shoot_all(url: str, shop: str, pages: Mapping[str, str] = PAGES) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        await asyncio.gather(*(shoot(browser, url, shop, look, pages) for look in LOOKS))
        await browser.close()


async def shoot_sign_in() -> None:
    options = ("--auth", *PROVIDER, "--oidc-map", "admins=read,write,cancel,admin")
    with (
        tempfile.TemporaryDirectory() as directory,
        service(Path(directory) / "data", *options, HOOKLINE_ROOT_KEY=ROOT_KEY) as url,
    ):
        await shoot_all(url, "", {"sign-in": "/sign-in"})


async def main() -> None:
    OUT.mkdir(exist_ok=True)
    await shoot_sign_in()
    if sys.argv[1:] == ["sign-in"]:
        return
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    shop, stop = f"http://127.0.0.1:{receiver.server_port}", threading.Event()
    with tempfile.TemporaryDirectory() as directory, service(Path(directory) / "data", *CLUSTERS) as url:
        fill(url, shop)
        loading = threading.Thread(target=load, args=(url, shop, stop))
        loading.start()
        await shoot_all(url, shop)
        stop.set()
        loading.join()


if __name__ == "__main__":
    asyncio.run(main())
