"""Named statements from the ``.sql`` files beside this module."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load(file: str) -> dict[str, str]:
    """The statements of a file by their name."""
    parts = _NAME.split(text(file))
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def text(file: str) -> str:
    """A whole SQL file of this package."""
    return files(__package__).joinpath(file).read_text(encoding="utf-8")
