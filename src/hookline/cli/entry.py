"""Where the ``hookline`` command begins: Ctrl-C ends it at once and quietly, also while it is still being imported."""

import signal
import sys

_HOW = "the command line is not installed; run: pip install 'hookline[server]' (or 'hookline[cli]' to call others only)"


def main() -> None:
    """The entry point."""
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from hookline.cli import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hookline":
            raise
        sys.stderr.write(f"error: {_HOW}\n")
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    app.main()
