"""Writes results to stdout, everything else to stderr, and one JSON document with ``--json``."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from cyclopts import CycloptsError

from hookline.cli.sheet import Facts, Sheet
from hookline.errors import HooklineError
from hookline.visible import shortened, visible, visible_json

if TYPE_CHECKING:
    from rich.console import Console

_SAY_IT_IS_A_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE")  # to rich, whatever the stream itself says


class Printer(Protocol):
    """Prints texts and tables: a console of rich's on a terminal, elsewhere something plain."""

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks."""

    def print(self, *found: Any, style: str | None = None, end: str = "\n", soft_wrap: bool | None = None) -> None:
        """Print it; with ``soft_wrap`` no line is broken on a terminal."""


class _Plain:
    """Whole lines without colours, and without rich, whose import takes longer than a small command."""

    is_terminal = False

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def print(self, *found: Any, style: str | None = None, end: str = "\n", soft_wrap: bool | None = None) -> None:
        if self._stream is None:
            return
        for one in found:
            if isinstance(one, (Sheet, Facts)):
                text = "".join("".join(words.text for words in line) + "\n" for line in one.lines())
            elif isinstance(one, str):
                text = visible(one) + end
            else:
                _rich(self._stream).print(one, style=style, end=end, soft_wrap=soft_wrap)
                continue
            self._stream.write(text)
        self._stream.flush()


def stdout() -> Printer:
    """For results. Colours are left out when it is not a terminal or NO_COLOR is set."""
    return _printer(sys.stdout)


def stderr() -> Printer:
    """For progress, questions, warnings and errors."""
    return _printer(sys.stderr)


def rich_stdout() -> "Console":
    """For what only rich can do, such as a live table."""
    return _rich(sys.stdout)


def rich_stderr() -> "Console":
    """Likewise, for a live picture of progress."""
    return _rich(sys.stderr)


def _printer(stream: TextIO | None) -> Printer:
    if stream is None or not (stream.isatty() or any(os.environ.get(name) for name in _SAY_IT_IS_A_TERMINAL)):
        return _Plain(stream)
    return _rich(stream)


def _rich(stream: TextIO) -> "Console":
    from hookline.cli.visible_console import VisibleConsole

    return VisibleConsole(file=stream, markup=False, highlight=False, emoji=False)


def show_whole(found: Sheet | Facts) -> None:
    """A table or facts, whose lines are as long as they are."""
    stdout().print(found, soft_wrap=True)


def print_json(value: Any) -> None:
    """The one document of ``--json``."""
    import msgspec

    encoded = msgspec.json.encode(value)
    with suppress(RecursionError):  # a payload nested so deeply stays on one line
        encoded = msgspec.json.format(encoded, indent=2)
    sys.stdout.write(visible_json(encoded.decode()) + "\n")


def print_error(error: HooklineError) -> None:
    """One red line, then the code and what is known beside it."""
    console = stderr()
    console.print(f"error: {shortened(error.detail)}", style="bold red", soft_wrap=True)
    notes = [f"code: {error.code}"]
    if error.field is not None:
        notes.append(f"field: {error.field}")
    if error.retry_after_s is not None:
        notes.append(f"come back in {error.retry_after_s} s")
    console.print("  " + " · ".join(notes), style="dim", soft_wrap=True)
    if (title := error.title()) != error.detail:
        console.print("  " + title, style="dim", soft_wrap=True)


def warn(message: str) -> None:
    """One yellow line."""
    stderr().print(f"warning: {message}", style="yellow", soft_wrap=True)


def warn_incomplete(clusters: Sequence[str]) -> None:
    """Say which clusters could not be reached, if there are any: what is there is not in the result."""
    if clusters:
        warn(f"{', '.join(clusters)} could not be reached; what is there is missing here")


def warn_moving(clusters: Sequence[str]) -> None:
    """Say out of which clusters jobs move, if there are any: one that is on its way may be missing."""
    if clusters:
        warn(f"jobs move out of {', '.join(clusters)}; one on its way may be missing here: hookline topology status")


def usage_error(message: str) -> CycloptsError:
    """To be raised: the command was called in a way that cannot work (exit code 2)."""
    return CycloptsError(msg=message)


def print_done(verb: str, what: str, *, as_json: bool) -> None:
    """Say on stdout what was done to what: ``deleted ID``, or as JSON ``{"deleted": "ID"}``."""
    if as_json:
        print_json({verb: what})
    else:
        stdout().print(f"{verb} {what}", soft_wrap=True)


def confirm(question: str, *, yes: bool) -> bool:
    """Ask on the terminal, unless ``yes`` has answered; a no is said to have changed nothing.

    Without a terminal nobody can answer, and the caller has to say ``--yes``.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise usage_error(f"{question} There is no terminal to ask on; add --yes.")
    stderr().print(f"{question} [y/N] ", end="")
    agrees = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agrees:
        stderr().print("Nothing was changed.")
    return agrees


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Any]:
    """A progress bar on stderr; yields a function that advances it. ``total`` None: not known beforehand."""
    if not stderr().is_terminal:
        yield lambda _amount: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_rich(sys.stderr), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda amount: bar.advance(task, amount)


@contextmanager
def byte_progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; yields a function that is told (bytes so far, bytes in all)."""
    if not stderr().is_terminal:
        yield lambda _have, _size: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=_rich(sys.stderr), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda have, size: bar.update(task, completed=have, total=size)


def waiting(running: int) -> str:
    """Says what the end of Hookline waits for; empty if for nothing."""
    return f"waiting for {running} attempt{'' if running == 1 else 's'}, Ctrl-C again to force" if running else ""


def announce(url: str, to: TextIO | None = None) -> None:
    """The line that whoever started us waits for."""
    print(f"ready {url}", file=to, flush=True)
