"""``hookline top``: clusters and destinations at work, in the terminal."""

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from hookline.cli.output import print_json, rich_stdout, stdout
from hookline.cli.parameters import Flag, Interval
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.cli.sheet import Line
from hookline.cli.top.looking import Looker, Lookout, TopLook, looked_twice
from hookline.cli.top.picture import drawn, picture
from hookline.cli.top.views import TopScreen, pressed
from hookline.clock import SystemClock
from hookline.errors import ConnectionFailed

if TYPE_CHECKING:
    from rich.text import Text

_LOOK_S: Final = 0.5  # so soon a terminal that was made larger or smaller is drawn anew


def top(
    *,
    interval: Annotated[Interval, Parameter(help="Seconds between two looks.")] = 1.0,
    once: Flag = False,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Watch clusters and destinations at work: lag, throughput, success, backlog, what fails.

    Choose a row with the arrows, open it with Enter (a cluster's nodes, a destination's failed jobs, a job's story),
    and go back with Esc. s sorts by name, backlog, lag or throughput, Space pauses, q ends it. Where there is no
    terminal it prints one picture.

    Args:
        interval: Seconds between two looks.
        once: Print one picture, and end.
        service: A node or a proxy; a proxy shows all clusters. With --json: one document, and end.
    """
    where = service.place().url
    with service.calls() as calls:
        looker = Looker(calls, SystemClock())
        if service.json or once or not (stdout().is_terminal and sys.stdin.isatty()):
            return _once(looked_twice(looker, lambda: time.sleep(interval)), where, as_json=service.json)
        return _live(Lookout(looker, interval), where)


def _once(seen: TopLook, where: str, *, as_json: bool) -> int:
    facts = seen.facts
    if facts is None:
        raise ConnectionFailed(seen.wrong)
    if as_json:
        concerns = [{"tone": one.tone, "text": one.text} for one in facts.concerns]
        shown = {"total": facts.total, "clusters": facts.rows, "destinations": facts.destinations}
        print_json({"url": where, **shown, "concerns": concerns})
        return 0
    console = stdout()
    screen = TopScreen(chosen=(-1,))  # there is nobody to choose
    width = rich_stdout().width if console.is_terminal else sys.maxsize
    for line in picture(seen, screen, where, width, 0):
        if console.is_terminal:
            rich_stdout().print(_text(line), soft_wrap=True)
        else:
            console.print("".join(words.text for words in line))
    return 0


def _live(lookout: Lookout, where: str) -> int:
    from rich.live import Live
    from rich.text import Text

    from hookline.cli.top.keys import interrupt_noted, read_keys, single_keys

    terminal, console, screen = sys.stdin.fileno(), rich_stdout(), TopScreen()
    seen: TopLook | None = None  # that is on the screen: keys choose among its rows

    def shown() -> "Text":
        nonlocal seen
        seen = lookout.seen()
        size = os.get_terminal_size(terminal)
        if size.columns and size.lines:  # COLUMNS and LINES may be those of another terminal, or of an earlier size
            console.size = size
        width, height = console.size
        lines = picture(seen, screen, where, width, height)
        return Text("\n").join(_text(line) for line in lines)

    lookout.start()
    try:
        with (
            interrupt_noted() as interrupts,
            single_keys(terminal),
            Live(shown(), console=console, screen=True, auto_refresh=False) as live,
        ):
            while not screen.is_over and not interrupts:
                for key in read_keys(terminal, [lookout.news], _LOOK_S):
                    screen = pressed(screen, key, drawn(seen, screen, None).targets)
                lookout.want(screen.view, is_paused=screen.is_paused)
                live.update(shown(), refresh=True)
    except EOFError:  # the terminal has gone
        pass
    finally:
        lookout.close()
    return 0


def _text(line: Line) -> "Text":
    from rich.text import Text

    return Text.assemble(*line, no_wrap=True, overflow="crop")
