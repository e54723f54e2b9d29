"""How the command line talks: results to stdout, everything else to stderr, one JSON document with ``--json``."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from cyclopts import CycloptsError
from rich.console import Console, RenderableType
from rich.text import Text

from hookline.errors import HooklineError
from hookline.visible import shortened, visible, visible_json


class VisibleConsole(Console):
    """Obeys no escape sequence of a text: rich asks here for each one that it prints, also in tables."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text for a line or a cell."""
        return super().render_str(visible(text), **options)


def stdout() -> Console:
    """For results. Rich leaves colours out when it is no terminal or NO_COLOR is set."""
    return VisibleConsole(markup=False, highlight=False, emoji=False)


def stderr() -> Console:
    """For progress, questions, warnings and errors."""
    return VisibleConsole(stderr=True, markup=False, highlight=False, emoji=False)


def show_whole(found: RenderableType) -> None:
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


def usage_error(message: str) -> CycloptsError:
    """To be raised: the command was called in a way that cannot work (exit code 2)."""
    return CycloptsError(msg=message)


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
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = stderr()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda amount: bar.advance(task, amount)


@contextmanager
def byte_progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; yields a function that is told (bytes so far, bytes in all)."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = stderr()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None)
        yield lambda have, size: bar.update(task, completed=have, total=size)


def waiting(running: int) -> str:
    """What the end of Hookline waits for; empty if for nothing."""
    return f"waiting for {running} attempt{'' if running == 1 else 's'}, Ctrl-C again to force" if running else ""


def announce(url: str, to: TextIO | None = None) -> None:
    """The line that whoever started us waits for."""
    print(f"ready {url}", file=to, flush=True)
