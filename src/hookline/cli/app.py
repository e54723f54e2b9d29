"""The ``hookline`` command: its groups, and what happens when one fails.

Exit codes: 0 done · 1 Hookline or the job said no · 2 the command was called wrongly · 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from cyclopts import App, CycloptsError

from hookline import __version__
from hookline.cli import (
    backup,
    cluster,
    completion,
    destinations,
    jobs,
    listen,
    proxy,
    schedules,
    secret,
    serve,
    state,
    topology,
    up,
)
from hookline.cli.output import print_error, print_json, stderr
from hookline.errors import HooklineError

app = App(
    name="hookline",
    help="Delivers HTTP calls now, later or on a schedule, and never loses one.",
    version=__version__,
    result_action="return_value",
    help_format="plaintext",
)
app.command(up.up)
app.command(serve.serve)
app.command(proxy.proxy)
app.command(listen.listen)
app.command(jobs.app)
app.command(schedules.app)
app.command(destinations.app)
app.command(cluster.app)
app.command(topology.app)
app.command(backup.backup)
app.command(backup.restore)
app.command(state.app)
app.command(secret.app)
app.command(completion.completion)


def run(tokens: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        result = app(list(tokens), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        stderr().print(f"error: {error}", style="bold red", soft_wrap=True)
        stderr().print("  Add --help to see how the command is used.", style="dim")
        return 2
    except HooklineError as error:
        if "--json" in tokens:
            print_json(error.to_problem())
        with suppress(OSError):  # standard error may be a file on the disk that is full
            print_error(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone (`hookline jobs list | head`); keep Python from failing once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return result if isinstance(result, int) else 0


def main() -> None:
    """The entry point."""
    os.umask(0o077)  # states, snapshots and backups hold payloads, which are nobody else's business
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
