"""The ``hookline`` command: its groups, and what happens when one fails.

Exit codes: 0 done · 1 Hookline or the job said no · 2 the command was called wrongly · 130 interrupted ·
141 whoever read the output has gone.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from cyclopts import App, CycloptsError
from cyclopts.argument import ArgumentCollection

from hookline.cli import overview
from hookline.cli.launch import Launch
from hookline.cli.output import print_error, print_json, stderr
from hookline.cli.parameters import CHECKED
from hookline.cli.streams import check_output, drop_output, prepare_streams
from hookline.cli.tokens import check_tokens, wants_json
from hookline.errors import ExtraMissing, HooklineError, Internal, Interrupted, InvalidConfig, InvalidUsage
from hookline.version import __version__
from hookline.visible import shortened

_READER_GONE = 141
_INTERRUPTED = 130

_HAVE_CONFIG = ("up", "serve", "proxy", "worker")


def _configure(_app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Let a configuration file fill in what neither a flag nor the environment has said."""
    if commands and commands[0] in _HAVE_CONFIG:
        from hookline.cli.config_file import fill

        fill(commands[0], arguments)


app = App(
    name="hookline",
    help=overview.HELP,
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # Ctrl-C has its own exit code, and with --json its document
    help_format="plaintext",
    default_parameter=CHECKED,
    config=_configure,
)
# Each is imported when it is used, with what it needs. A test compares the texts.
for _command in overview.COMMANDS:
    app.command(f"hookline.cli.{_command.place}", name=_command.name, help=_command.help)


def run(tokens: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    if list(tokens[:1]) == ["help"]:
        tokens = [*tokens[1:], "--help"]
    try:
        return _run(tokens)
    except BrokenPipeError:  # the reader has gone (`hookline jobs list | head`)
        drop_output()
        return _READER_GONE
    except OSError as error:
        return _failed(_unwritten(error), tokens)


def _run(tokens: Sequence[str]) -> int:
    try:
        check_output()
        if overview.is_asked(tokens):
            overview.show()
            return 0
        check_tokens(app, tokens)
        result = _called(tokens)
        sys.stdout.flush()
    except CycloptsError as error:
        return _misused(shortened(str(error)), tokens)
    except HooklineError as error:
        return _failed(error, tokens)
    except KeyboardInterrupt:
        if wants_json(tokens):
            _print_problem(Interrupted())
        return _INTERRUPTED
    except OSError:
        raise
    except ImportError as error:
        return _failed(_not_installed(error), tokens)
    except Exception as error:
        if os.environ.get("HOOKLINE_TRACEBACK"):
            raise
        return _failed(_unforeseen(error), tokens)
    return result if isinstance(result, int) else 0


def _called(tokens: Sequence[str]) -> object:
    result = app(list(tokens), exit_on_error=False, print_error=False)
    return result.run() if isinstance(result, Launch) else result


def _misused(message: str, tokens: Sequence[str]) -> int:
    if wants_json(tokens):
        _print_problem(InvalidUsage(message))
    with suppress(OSError):
        stderr().print(f"error: {message}", style="bold red", soft_wrap=True)
        stderr().print("  Add --help to see how the command is used.", style="dim")
    return 2


def _print_problem(error: HooklineError) -> None:
    if sys.stdout is None:
        return
    try:
        print_json(error.to_problem())
        sys.stdout.flush()
    except OSError:
        drop_output()


def _failed(error: HooklineError, tokens: Sequence[str]) -> int:
    if wants_json(tokens):
        _print_problem(error)
    with suppress(OSError):  # standard error may be a file on the disk that is full
        print_error(error)
    return 1


def _unwritten(error: OSError) -> HooklineError:
    """Says what the operating system refused; without a name of a file it was the result."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return InvalidConfig(f"{os.fsdecode(error.filename)}: {reason}")
    drop_output()
    return InvalidConfig(
        f"the result cannot be written ({reason}); what the command was asked to do may be done. Mend where its output "
        "goes, and look before you repeat it"
    )


def _not_installed(error: ImportError) -> HooklineError:
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, ModuleNotFoundError) and cause.name):
        cause = cause.__cause__
    if cause is None or str(cause.name).startswith("hookline"):
        return _unforeseen(error)
    return ExtraMissing(f"this command needs {cause.name}, a part of the server: pip install 'hookline[server]'")


def _unforeseen(error: Exception) -> HooklineError:
    if isinstance(error, MemoryError):
        return InvalidConfig("there is not enough memory for this; give less at once")
    return Internal(
        f"the command failed in a way that nobody foresaw ({type(error).__name__}: {error}). Please report it, with "
        "what HOOKLINE_TRACEBACK=1 shows"
    )


def main() -> None:
    """The entry point."""
    os.umask(0o077)  # states, snapshots and backups hold payloads, which are nobody else's business
    prepare_streams()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
