"""``hookline bench``: how fast and how exact a Hookline is, seen from outside."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hookline.cli import inputs
from hookline.cli.output import print_json, stderr, usage_error
from hookline.cli.parameters import Flag, NamedPath
from hookline.cli.service import DEFAULT_SERVICE, Service

if TYPE_CHECKING:
    from hookline.cli.bench.run import BenchResult

_RATE_MAX = 100_000
_RECEIVER_MS_MAX = 600_000
_PAYLOAD_MAX = 1_000_000
_BATCH_MAX = 1_000


def bench(
    *,
    rate: float = 100.0,
    duration: str = "10s",
    receiver_ms: float = 0.0,
    payload: int = 200,
    delay: str = "0s",
    keys: Flag = False,
    batch: int = 1,
    listen: str = "127.0.0.1:0",
    receiver_url: str | None = None,
    patience: str = "30s",
    html: NamedPath | None = None,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Create jobs at a steady rate, receive them, and say how fast and how exact Hookline was.

    Nothing may be lost, doubled or early; the exit code is 1 if something was. It creates real jobs: use a Hookline, or
    a tenant, that may have them.

    For example: hookline bench --rate 300 --duration 30s --receiver-ms 200 --html report.html

    Args:
        rate: Jobs a second.
        duration: For how long.
        receiver_ms: Milliseconds that the receiver takes for an answer.
        payload: Bytes of each payload.
        delay: From creation until a job is due.
        keys: Give each job an idempotency key.
        batch: Jobs in one call.
        listen: Where the receiver listens; port 0 is a free one.
        receiver_url: The receiver as Hookline's nodes see it. [that of --listen]
        patience: How long to wait for the next arrival in the end, before what is missing is looked at.
        html: Write the report with its charts into this file.
        service: Where Hookline is.
    """
    from hookline.cli.bench.load import LoadPlan
    from hookline.cli.bench.loops import run
    from hookline.cli.bench.run import BenchRun

    _check(rate, receiver_ms, payload, batch, keys=keys)
    seconds = inputs.duration_ms(duration) / 1_000
    if seconds <= 0:
        raise usage_error("--duration must be more than 0.")
    if html is not None and not html.parent.is_dir():
        raise usage_error(f"--html: there is no folder {html.parent}.")
    delay_ms = inputs.duration_ms(delay)
    plan = LoadPlan(rate=rate, seconds=seconds, payload=_payload(payload), delay_ms=delay_ms, keys=keys, batch=batch)
    one = BenchRun(
        service,
        plan,
        listen=inputs.address(listen),
        receiver_url=None if receiver_url is None else inputs.local_url(receiver_url, "--receiver-url"),
        receiver_s=receiver_ms / 1_000,
        delay_s=delay_ms / 1_000,
        patience_s=inputs.duration_ms(patience) / 1_000,
    )
    outcome = run(one.run())
    if service.json:
        print_json(outcome.figures)
    else:
        from hookline.cli.bench.view import show

        show(outcome.figures, outcome.seen.lag_s)
    if html is not None:
        _write(html, outcome)
        stderr().print(f"the report is in {html}", soft_wrap=True)
    return int(not outcome.figures.is_as_promised)


def _check(rate: float, receiver_ms: float, payload: int, batch: int, *, keys: bool) -> None:
    if not 0 < rate <= _RATE_MAX:
        raise usage_error(f"--rate must be more than 0 and at most {_RATE_MAX:,}.")
    if not 0 <= receiver_ms <= _RECEIVER_MS_MAX:
        raise usage_error(f"--receiver-ms must be between 0 and {_RECEIVER_MS_MAX:,}.")
    if not 2 <= payload <= _PAYLOAD_MAX:
        raise usage_error(f"--payload must be between 2 and {_PAYLOAD_MAX:,} bytes.")
    if not 1 <= batch <= _BATCH_MAX:
        raise usage_error(f"--batch must be between 1 and {_BATCH_MAX:,}.")
    if keys and batch > 1:
        raise usage_error("--keys goes without --batch: an idempotency key belongs to a call of its own.")


def _payload(size: int) -> str:
    """JSON of so many bytes: a text in its quotes."""
    return "x" * (size - 2)


def _write(file: Path, outcome: "BenchResult") -> None:
    from hookline.cli.bench.page import page
    from hookline.version import __version__

    command = shlex.join(["hookline", *sys.argv[1:]])
    file.write_text(page(outcome.figures, outcome.seen, outcome.began_at, command, __version__), encoding="utf-8")
