"""Ctrl-C ends a command at once and without a traceback: while it is imported, and while it waits for an answer."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.dripping_server import dripping_server, silent

EARLY = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["hookline", "jobs", "list", "--url", "http://127.0.0.1:1", "--http-timeout", "0.1"]
from hookline.cli.entry import main
main()
"""


@pytest.fixture(autouse=True)
def _interrupts_are_on() -> Iterator[None]:
    """Switches them on: a shell, for example, switches them off for what it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("module", ["hookline.cli.app", "cyclopts", "hookline.cli.tokens"])
def test_an_interrupt_while_a_command_is_imported_is_quiet(module: str) -> None:
    command = [sys.executable, "-c", EARLY.format(module=module)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_an_interrupt_while_a_group_is_imported_is_quiet() -> None:
    command = [sys.executable, "-c", EARLY.format(module="hookline.client.plain_connections")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_an_interrupt_that_the_shell_has_switched_off_stays_off() -> None:
    command = ["bash", "-c", "trap '' INT; exec \"$@\"", "-", sys.executable, "-c", EARLY.format(module="cyclopts")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "connection_failed" in done.stderr) == (1, True)


# As a signal that comes in between Python's last look for one and the wait: the wait goes on.
UNSEEN = """
import signal, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
"""


@pytest.mark.parametrize("before", ["", UNSEEN], ids=["seen", "unseen"])
def test_an_interrupt_while_a_call_waits_ends_it_at_once(before: str) -> None:
    asked = threading.Event()

    def behave(*args: object) -> None:
        asked.set()
        silent(*args)  # type: ignore[arg-type]

    with dripping_server(behave) as server:
        code = f"{before}\nfrom hookline.cli.entry import main; main()"
        command = [sys.executable, "-c", code, "jobs", "list", "--url", server.url, "--http-timeout", "3600"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            try:
                assert asked.wait(60)
                running.send_signal(signal.SIGINT)
                out, err = running.communicate(timeout=60)  # far below the timeout of the call
            finally:
                running.kill()
    assert (running.returncode, out, err) == (130, "", "")
