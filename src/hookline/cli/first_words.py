"""Greets whoever starts Hookline by hand: says where things are and what to do next."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from hookline.cli.output import announce, stderr
from hookline.client.place import DEFAULT_URL
from hookline.dashboard.settings import DashboardMode

if TYPE_CHECKING:
    from hookline.node.config import NodeConfig

_SHOW_KEY = "export HOOKLINE_API_KEY=…, the root key or one that hookline keys create made"

LabelledLines = tuple[str, Sequence[str]]
"""A name, and a line for each place where it is."""


def say_ready(
    config: "NodeConfig", url: str, places: Sequence[LabelledLines] = (), *, dashboard: DashboardMode = "on"
) -> None:
    """The first words, and then the line that whoever started us waits for.

    Args:
        config: of the nodes.
        url: of the front door.
        places: what there is beside it.
        dashboard: is it there?
    """
    shown = url.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104 - shown
    rows = (
        *places,
        ("data", [str(config.data_dir.absolute())]),
        *([] if dashboard == "off" else [("see", [f"{shown}/dashboard"])]),
        ("API", [f"{shown}/docs"]),
        *(
            []
            if config.root_key is None
            else [("key", ["export HOOKLINE_API_KEY=… the root key, or one of hookline keys create"])]
        ),
        ("try", first_commands(config, shown)),
        ("stop", ["Ctrl-C"]),
    )
    width = max(len(name) for name, _ in rows) + 2
    for name, lines in rows:
        for number, line in enumerate(lines):
            heading = "" if number else name
            stderr().print(Text.assemble((heading.ljust(width), "dim"), line), soft_wrap=True)
    announce(url)


def first_commands(config: "NodeConfig", url: str) -> list[str]:
    """Lists the commands to type next."""
    asked = os.environ.get("HOOKLINE_URL") or DEFAULT_URL  # by commands that are not told where
    elsewhere = "" if url == asked else f" --url {url}"
    if config.allow_private_destinations:
        return [
            "hookline listen --port 9000, and in another terminal",
            f"hookline jobs create http://127.0.0.1:9000/hello --data '{{\"n\": 1}}'{elsewhere}",
        ]
    return [f"hookline jobs create https://YOUR.HOST/hook --data '{{\"n\": 1}}'{elsewhere}"]
