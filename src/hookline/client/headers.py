"""Checks what can be sent as a header. Pure."""

from collections.abc import Mapping
from typing import Any

from hookline.errors import InvalidHeader


def check_headers(headers: Mapping[Any, Any], where: str) -> None:
    """Raise InvalidHeader, naming the header and never its value, for what cannot be sent as one."""
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidHeader(f"{where} maps names to values, both text; {name!r} is not like that", field=where)
        if not name or not name.isascii() or not all(char.isalnum() or char in "!#$%&'*+-.^_`|~" for char in name):
            raise InvalidHeader(f"{name!r} cannot be the name of a header", field=where)
        if not value.isascii() or any((char < " " and char != "\t") or char == "\x7f" for char in value):
            raise InvalidHeader(
                f"the value of {name} cannot be sent as a header: it has characters that are not printable ASCII",
                field=f"{where}.{name}",
            )
