"""Makes the first key of a Hookline on this machine, when somebody wants keys and has none."""

import os
from dataclasses import replace
from pathlib import Path

from hookline.cli.node_options import NodeOptions
from hookline.cli.output import stderr
from hookline.clock import SystemClock

FILE = "root.key"
_BYTES = 32


def with_root_key(options: NodeOptions, data_dir: Path) -> NodeOptions:
    """The options with a root key; unless one is given it is the one in the data directory, made when it is missing."""
    if options.root_key_file is not None or os.environ.get("HOOKLINE_ROOT_KEY", "").strip():
        return options
    data_dir.mkdir(parents=True, exist_ok=True)
    file = (data_dir / FILE).absolute()
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(SystemClock().token(_BYTES).hex() + "\n")
    stderr().print(f"root key: {file}", style="dim", soft_wrap=True)
    return replace(options, root_key_file=file)
