"""Measures what protections cost: ``python benchmarks/protections.py`` (about 7 minutes).

One node without any beside one with keys, with keys and TLS, with encrypted payloads, and one whose jobs are a
tenant's, in turn and in one run: jobs one by one and in batches, end to end; and calls that each make a connection.
"""

import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from beside import HEAD, Figures, compare, options_of, rounds
from node_process import Process, node

from hookline.cli.own_certificate import with_own_certificate
from hookline.client.blocking import Client
from hookline.tls.files import NO_TLS

PLAIN, *PROTECTED = ("none", "keys", "a tenant's key", "encrypted payloads", "keys and TLS")
_ROOT_KEY = "hkl_root_" + "b" * 40
_FRESH = 600  # also with --quick: CPU time is counted in steps of 10 ms, and a few calls may take none


@contextmanager
def serving(folder: Path, protection: str) -> Iterator[tuple[Process, dict[str, str]]]:
    """One node in one process, and the environment of a load on it."""
    options, environment = ["--attempt-processes", "0", "--api-processes", "0"], {}
    context = None
    if protection == "encrypted payloads":
        options.append("--encrypt-payloads")
    if protection == "keys and TLS":
        files = with_own_certificate(NO_TLS, folder, "127.0.0.1")
        options += [part for option, file in files.named().items() for part in (option, str(file))]
        environment["LOAD_CA_FILE"] = str(files.ca)
        context = ssl.create_default_context(cafile=files.ca)
    if protection in ("keys", "a tenant's key", "keys and TLS"):
        root_key = folder / "root.key"
        root_key.write_text(_ROOT_KEY + "\n")
        root_key.chmod(0o600)
        options += ["--auth", "--root-key-file", str(root_key)]
        environment["HOOKLINE_API_KEY"] = _ROOT_KEY
    with node(None, *options, tls=context, key=environment.get("HOOKLINE_API_KEY")) as process:
        if protection == "a tenant's key":
            with Client(f"http://127.0.0.1:{process.port}", api_key=_ROOT_KEY) as client:
                environment["HOOKLINE_API_KEY"] = client.create_key("load", ["read", "write"], tenant="acme").key or ""
        yield process, environment


def fresh(folder: Path, protection: str) -> Figures:
    """The same of calls that each make a connection."""
    with serving(folder, protection) as (process, _):
        process.get("/livez")
        cpu, started = process.cpu_seconds(), time.perf_counter()
        took = []
        for _ in range(_FRESH):
            begun = time.perf_counter()
            process.get("/livez")
            took.append(time.perf_counter() - begun)
        rate = _FRESH / (time.perf_counter() - started)
        return rate, (process.cpu_seconds() - cpu) / _FRESH * 1e6, statistics.median(took) * 1e3


def main() -> None:
    """Run everything and print the tables."""
    options = options_of(__doc__, 5)
    print(HEAD)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        compare((PLAIN, *PROTECTED), partial(serving, folder), options, "jobs {case}: {kind}")
        for kind, row in rounds((PLAIN, "keys and TLS"), partial(fresh, folder), options.runs):
            print(row.format(f"calls, each over its own connection: {kind}"))


if __name__ == "__main__":
    main()
