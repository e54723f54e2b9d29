"""Entry point of the ``hookline`` command: Ctrl-C ends it at once and quietly, even during imports."""

import gc
import signal
import sys

_HOW = "the command line is not installed; run: pip install 'hookline[server]' (or 'hookline[cli]' to call others only)"


def _has_shown_overview(tokens: list[str]) -> bool:
    """The one page that needs no parser is there in a tenth of the time; a failure is for the command to tell."""
    from importlib.util import find_spec

    from hookline.cli import overview

    if sys.stdout is None or not overview.is_asked(tokens) or find_spec("cyclopts") is None:
        return False
    try:
        overview.show()
    except OSError:
        return False
    return True


def main() -> None:
    """The entry point."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # not so when a shell that starts it in the background has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        if _has_shown_overview(sys.argv[1:]):
            return
        gc.disable()  # what is imported stays, and looking for what does not takes a tenth of the time
        from hookline.cli import app

        gc.freeze()
        gc.enable()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hookline":
            raise
        sys.stderr.write(f"error: {_HOW}\n")
        sys.exit(1)
    signal.signal(signal.SIGINT, handler)
    app.main()
