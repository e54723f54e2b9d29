"""Named statements from the ``.sql`` files beside this module, and the rows that they answer."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import msgspec

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COLUMNS = re.compile(r"\{(\w+)\}")

SPEC = {"spec": "s.spec", "fingerprint": "s.fingerprint", "sum": "s.sum"}
"""Stands in a job's statement for the columns of ``specs``."""


Values = tuple[Any, ...]
"""A row as SQLite gives it."""


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The root of rows that are read by name. A type's fields are the one list of the columns it is read from."""


def columns(row: type[Any], table: str = "", **others: str) -> str:
    """The columns of a row for a SELECT or RETURNING.

    Args:
        row: its type, a ``Struct`` or a ``NamedTuple``.
        table: which the columns are of, by the name it has in the statement.
        others: what to select for the fields that are not columns of that table.
    """
    prefix = table and table + "."
    fields: tuple[str, ...] = getattr(row, "_fields", None) or row.__struct_fields__
    return ", ".join(others.get(name) or prefix + name for name in fields)


def places(row: type[msgspec.Struct]) -> str:
    """A parameter for each column of a row that is inserted."""
    return ", ".join("?" * len(row.__struct_fields__))


def load(file: str, lists: Mapping[str, str]) -> dict[str, str]:
    """The statements of a file by their name; ``{name}`` in one of them stands for a list of columns."""
    parts = _NAME.split(text(file))
    bodies = [_COLUMNS.sub(lambda found: lists[found[1]], body.strip()) for body in parts[2::2]]
    return dict(zip(parts[1::2], bodies, strict=True))


def text(file: str) -> str:
    """A whole SQL file of this package."""
    return files(__package__).joinpath(file).read_text(encoding="utf-8")
