"""Where the ``hookline`` command begins: Ctrl-C ends it at once and quietly, also while it is still being imported."""

import signal
import sys

_HOW = "the command line is not installed; run: pip install 'hookline[server]' (or 'hookline[cli]' to call others only)"


def main() -> None:
    """The entry point."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # not so when a shell that starts it in the background has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from hookline.cli import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hookline":
            raise
        sys.stderr.write(f"error: {_HOW}\n")
        sys.exit(1)
    signal.signal(signal.SIGINT, handler)
    app.main()
