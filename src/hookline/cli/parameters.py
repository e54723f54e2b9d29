"""Types of flags, repeatable options, numbers and files, the same on every command."""

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from hookline.protocol.limits import DELAY_MS_MAX
from hookline.visible import visible

_BYTES = ("data", "body")  # what may hold any bytes


def _check_utf8(_type: Any, value: Any) -> None:
    """Refuse bytes that are not text where a text is meant; Python keeps them as lone surrogates."""
    if isinstance(value, (str, Path)):
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{visible(str(value))} is not UTF-8 text.") from error
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_utf8(_type, item)
    elif is_dataclass(value):
        for field in fields(value):
            if field.name not in _BYTES:
                _check_utf8(_type, getattr(value, field.name))


def _named_path(_type: Any, tokens: Sequence[Token]) -> Path:
    """The path; an empty one, as of a variable that is not set, would mean the directory one happens to be in."""
    if not tokens[0].value:
        raise ValueError("it is empty; say which file or directory is meant.")
    return Path(tokens[0].value)


def _check_seconds(_type: Any, value: float) -> None:
    if not 0 <= value <= DELAY_MS_MAX / 1_000 or math.isnan(value):
        raise ValueError(f"{value:g} is not a number of seconds between 0 and ten years.")


CHECKED = Parameter(validator=_check_utf8)
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False)]
# What may begin with a hyphen, as ids may, and - for stdin.
AnyText = Annotated[str, Parameter(allow_leading_hyphen=True)]
File = Annotated[Path, Parameter(allow_leading_hyphen=True, converter=_named_path)]
NamedPath = Annotated[Path, Parameter(converter=_named_path)]
Texts = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]
Seconds = Annotated[float, Parameter(validator=_check_seconds)]
