"""The delivery client beside httpx2, the SDK's library: ``python benchmarks/delivery_client.py`` (about 3 minutes).

Both send the same requests, in turn and in processes of their own, to a bare receiver in another process: CPU of the
sending process a request, and requests a second. httpx2 is used as attempts would use it: the status first,
then what is wanted of the body, and all headers as text.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import trustme
import uvloop
from node_process import HERE, ready_port
from receiver import Receiver

from hookline.node.attempts.transport import HttpTransport, Outgoing, ReceiverAnswer
from hookline.protocol.urls import parse_url

BODY = json.dumps({"order": 1234, "text": "x" * 100}).encode()
HEADERS = [
    ("webhook-id", "0199f2d2-5b0e-7cc3-98c4-dc0c0c07398f"),
    ("webhook-timestamp", "1800000000"),
    ("hookline-attempt", "1"),
    ("hookline-term", "1"),
    ("hookline-scheduled-at", "2027-01-15T07:59:58.500Z"),
    ("user-agent", "hookline"),
    ("content-type", "application/json"),
]
CASES = [  # receiver's delay in s, TLS, requests, at once
    (0.0, False, 40_000, 100),
    (0.2, False, 5_000, 100),
    (0.0, True, 20_000, 100),
    (0.2, True, 5_000, 100),
]
Send = Callable[[], Awaitable[object]]


async def measure(client: str, url: str, count: int, concurrency: int) -> None:
    """Send ``count`` requests, ``concurrency`` at once, after as many to connect, and print what they took."""
    send = _own(url) if client == "own" else _httpx2(url)

    async def worker(times: int) -> None:
        for _ in range(times):
            await send()

    async def all_of(times: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(concurrency):
                tasks.create_task(worker(times))

    await all_of(5)
    before, started = _cpu_s(), time.perf_counter()
    await all_of(count // concurrency)
    done = count // concurrency * concurrency
    print(json.dumps({"cpu_us": (_cpu_s() - before) / done * 1e6, "rate": done / (time.perf_counter() - started)}))


def _own(url: str) -> Send:
    transport, target = HttpTransport(), parse_url(url)
    outgoing = Outgoing(target, "127.0.0.1", "POST", HEADERS, BODY, 30_000)
    return lambda: transport.send(outgoing)


def _httpx2(url: str) -> Send:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx2.AsyncClient(limits=limits, timeout=30)

    async def send() -> None:
        async with client.stream("POST", url, headers=HEADERS, content=BODY) as response:
            body = b"".join([part async for part in response.aiter_raw(65_536)])
            ReceiverAnswer(response.status_code, list(response.headers.items()), body)

    return send


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def serve(delay_s: float, certificate: str) -> None:
    """The bare receiver, with TLS if there is a certificate."""
    Receiver.delay_s = delay_s
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=1_024, ssl=context)
    print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@contextmanager
def _receiver(delay_s: float, certificate: str) -> Iterator[int]:
    """Yields its port."""
    command = [sys.executable, str(HERE / "delivery_client.py"), "--serve", str(delay_s), "--certificate", certificate]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield ready_port(process)
    finally:
        process.kill()
        process.wait()


def _run(client: str, url: str, count: int, concurrency: int, environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, str(HERE / "delivery_client.py"), "--client", client, "--url", url]
    command += ["--count", str(count), "--concurrency", str(concurrency)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    found: dict[str, float] = json.loads(printed)
    return found


def compare(rounds: int, scale: int, directory: Path) -> None:
    """Both clients in turn, for each case; medians and spreads."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    print("| receiver | own: CPU µs a request (min–max) | httpx2 | ratio | own: requests/s | httpx2 |")
    print("|---|---|---|--:|--:|--:|")
    for delay_s, is_tls, count, concurrency in CASES:
        environment = os.environ | ({"SSL_CERT_FILE": str(directory / "ca.pem")} if is_tls else {})
        runs: dict[str, list[dict[str, float]]] = {"own": [], "httpx2": []}
        with _receiver(delay_s, str(directory / "server.pem") if is_tls else "") as port:
            url = f"http{'s' if is_tls else ''}://localhost:{port}/hook"
            for _ in range(rounds):
                for client, found in runs.items():
                    found.append(_run(client, url, max(count // scale, concurrency), concurrency, environment))
        cpu = {client: sorted(one["cpu_us"] for one in found) for client, found in runs.items()}
        rate = {client: statistics.median(one["rate"] for one in found) for client, found in runs.items()}
        shown = {client: f"{statistics.median(it):.0f} ({it[0]:.0f}–{it[-1]:.0f})" for client, it in cpu.items()}
        ratio = statistics.median(cpu["own"]) / statistics.median(cpu["httpx2"])
        print(
            f"| {delay_s * 1_000:.0f} ms{', TLS' if is_tls else ''}, {concurrency} at once | {shown['own']} | "
            f"{shown['httpx2']} | {ratio:.2f} | {rate['own']:,.0f} | {rate['httpx2']:,.0f} |",
            flush=True,
        )


def main() -> None:
    """Compare, or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the work, for trying the script")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--client", choices=("own", "httpx2"), help=argparse.SUPPRESS)
    for name in ("--url", "--certificate"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    for name in ("--count", "--concurrency"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        uvloop.run(serve(options.serve, options.certificate))
    elif options.client:
        uvloop.run(measure(options.client, options.url, options.count, options.concurrency))
    else:
        print(f"Python {platform.python_version()}, {platform.platform()}, {time.strftime('%Y-%m-%d')}\n")
        with tempfile.TemporaryDirectory() as directory:
            compare(options.rounds, 100 if options.quick else 1, Path(directory))


if __name__ == "__main__":
    main()
