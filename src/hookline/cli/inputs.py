"""Turns what users type into what the SDK takes. Unreadable input is a usage error."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import msgspec

from hookline.cli.output import usage_error
from hookline.errors import HooklineError, InvalidConfig
from hookline.protocol.durations import parse_duration
from hookline.visible import without_password

_CORES_MIN = 4  # on fewer, one process is the whole thing
_ATTEMPT_PROCESSES_MAX = 4  # one process makes some 7,000 attempts in a second
_API_PROCESSES_MAX = 4  # they keep one leader busy
_ROOT_KEYS_MAX = 2
_FILE_BYTES_MAX = 64 * 1024 * 1024  # far above what any service takes


def read_source(text: str) -> bytes:
    """The bytes of ``text`` itself, of a file (``@name``) or of stdin (``-``)."""
    if text == "-":
        return read_file(text)
    if text.startswith("@"):
        return read_file(text[1:] or ".")
    return text.encode("utf-8", "surrogateescape")


def read_file(name: str) -> bytes:
    """All of a file, or of stdin (``-``), which may have no end."""
    with readable_file(name) as file:
        read = file.read(_FILE_BYTES_MAX + 1)
    if len(read) > _FILE_BYTES_MAX:
        raise usage_error(f"{name} cannot be read: it has more than {_FILE_BYTES_MAX:,} bytes.")
    return read


def root_keys(file: Path | None) -> dict[str, Any]:
    """The root key in a file, with the one before it in a second line; or else the one in HOOKLINE_ROOT_KEY."""
    if file is None:
        return given(root_key=os.environ.get("HOOKLINE_ROOT_KEY", "").strip() or None)
    lines = [line.strip() for line in read_file(str(file)).decode("utf-8", "replace").splitlines() if line.strip()]
    if len(lines) > _ROOT_KEYS_MAX:
        raise usage_error(f"{file} has more than {_ROOT_KEYS_MAX} lines: the root key, and one that is still accepted.")
    key, former = (*lines, None, None)[:_ROOT_KEYS_MAX]
    return {"root_key": key or "", "former_root_key": former}


@contextmanager
def readable_file(name: str) -> Iterator[BinaryIO]:
    """The file, or stdin (``-``); that it cannot be opened or read is a usage error."""
    try:
        if name == "-":
            yield sys.stdin.buffer
        else:
            with Path(name).open("rb") as file:
                yield file
    except OSError as error:
        shown = "standard input" if name == "-" else name
        raise usage_error(f"{shown} cannot be read: {error.strerror or error}.") from error


def json_payload(text: str) -> msgspec.Raw:
    """JSON that is sent on byte for byte, but for white space around it."""
    from hookline.client.json_values import check_raw

    raw = msgspec.Raw(read_source(text).strip())
    try:
        check_raw(raw)
    except HooklineError as error:
        raise usage_error(f"the data is not JSON ({error.detail}); send other bytes with --body") from error
    return raw


def headers(lines: list[str]) -> dict[str, str]:
    """``name: value`` lines."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise usage_error(f"{line!r} is not a header; write it as name:value")
        if name.strip().lower() in (given_name.lower() for given_name in found):
            raise usage_error(f"the header {name.strip()} is given twice; a job has one value of each")
        found[name.strip()] = value.strip()
    return found


def labels(texts: list[str]) -> dict[str, str] | list[str]:
    """``name=value`` labels as pairs; if any has no value, the plain list. Each name once."""
    names = [text.partition("=")[0] for text in texts]
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise usage_error(f"the label {twice} is given twice; a job has one value of each")
    if all("=" in text for text in texts):
        return dict(text.split("=", 1) for text in texts)
    return texts


def duration_or_seconds(text: str) -> str | float:
    """``"1h30m"`` as it is, ``"2.5"`` as seconds."""
    try:
        return float(text)
    except ValueError:
        return text


def duration_ms(text: str) -> int:
    """Milliseconds of ``"7d"``, ``"1h30m"`` or seconds."""
    try:
        return parse_duration(duration_or_seconds(text))
    except HooklineError as error:
        raise usage_error(error.detail) from error


def address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, IPv6 in brackets."""
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:
        raise usage_error(f"{text!r} is not HOST:PORT, such as 127.0.0.1:7070 or [::1]:7070")
    return host, int(port)


def service_url(text: str, option: str) -> str:
    """``http(s)://host[:port]`` without a slash at its end."""
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise usage_error(f"{option} has {without_password(text)!r}; use http://host:port or https://host:port")
    return text.rstrip("/")


def local_url(text: str, option: str) -> str:
    """The same, where ``9000``, ``:9000`` and ``localhost:9000`` are enough, as people write it."""
    if re.fullmatch(r":?\d{1,5}(/.*)?", text):
        text = f"127.0.0.1:{text.lstrip(':')}"
    return service_url(text if "://" in text else f"http://{text}", option)


def comma_list(text: str) -> list[str]:
    """Entries separated by commas; a comma at the end does no harm."""
    return [part.strip() for part in text.split(",") if part.strip()]


def ports(text: str) -> frozenset[int]:
    """Ports separated by commas."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and 1 <= int(part) <= 65_535 for part in parts):
        raise usage_error(f"{text!r} is not a list of ports, such as 443,8443")
    return frozenset(int(part) for part in parts)


def attempt_processes(text: str, slots: int | None) -> int:
    """A number of processes; ``auto``: none on fewer than four cores, else one for each two, at most one for a slot."""
    if text == "auto":
        cores = _cores()
        return 0 if cores < _CORES_MIN else min(_ATTEMPT_PROCESSES_MAX, cores // 2, slots or cores)
    return _processes(text, "attempt-processes")


def api_processes(text: str) -> int:
    """A number of processes; ``auto``: one for each four of the cores that this process may use."""
    if text == "auto":
        return min(_API_PROCESSES_MAX, _cores() // 4)
    return _processes(text, "api-processes")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processes(text: str, option: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise usage_error(f"--{option} is {text!r}; write a number of processes, or auto.")
    return int(text)


def host_names(text: str) -> tuple[str, ...]:
    """Names separated by commas, as they stand in a Host header."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(re.fullmatch(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]", name) for name in names):
        raise usage_error(f"{text!r} is not a list of host names, such as jobs.example,localhost")
    return names


def check_log_level(level: str) -> None:
    """Raise InvalidConfig unless there is such a level."""
    if level not in ("debug", "info", "warning", "error"):
        raise InvalidConfig(f"--log-level is {level!r}; use debug, info, warning or error", field="log_level")


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
