"""Types of flags, repeatable options, numbers, files and settings, the same on every command.

A setting's type says what its text has to be, so that a wrong one is told with the name of the setting and its origin.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import CycloptsError, Group, Parameter, Token
from cyclopts.argument import Argument

from hookline.protocol.limits import DELAY_MS_MAX
from hookline.visible import visible

_BYTES = ("data", "body")  # what may hold any bytes
_INTERVAL_S_MIN = 0.1


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


def _check_interval(_type: Any, value: float) -> None:
    if not _INTERVAL_S_MIN <= value <= DELAY_MS_MAX / 1_000:  # nan is neither
        raise ValueError(f"{value:g} is not a number of seconds from {_INTERVAL_S_MIN:g} on.")


def _check_duration(_type: Any, value: str | None) -> None:
    if value is not None:
        from hookline.cli.inputs import duration_ms

        _check(duration_ms, value)


def _check_listen(_type: Any, value: str | None) -> None:
    if value is not None:
        from hookline.cli.inputs import address

        _check(address, value)


def _check_hosts(_type: Any, value: str | None) -> None:
    if value is not None:
        from hookline.cli.inputs import host_names

        _check(host_names, value)


def _check_ports(_type: Any, value: str | None) -> None:
    if value is not None:
        from hookline.cli.inputs import ports

        _check(ports, value)


def _check(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except CycloptsError as error:
        raise ValueError(str(error.msg)) from error


def _is_listed(_type: Any, _value: Any) -> None:
    """A mark: in a file it is a list."""


def _is_secret(_type: Any, _value: Any) -> None:
    """A mark: it is shown to nobody."""


def _checks(argument: Argument) -> tuple[object, ...]:
    found = argument.parameter.validator
    return found if isinstance(found, tuple) else ()


def is_of_group(argument: Argument, name: str) -> bool:
    """Does the help show it under this heading?"""
    groups = argument.parameter.group
    return isinstance(groups, tuple) and any(isinstance(group, Group) and group.name == name for group in groups)


def is_list(argument: Argument) -> bool:
    """Takes it texts that are separated by commas, or may it be given again?"""
    return _is_listed in _checks(argument) or "list[" in str(argument.hint)


def is_secret(argument: Argument) -> bool:
    """Is its value shown to nobody?"""
    return _is_secret in _checks(argument)


def form_of(argument: Argument) -> str:
    """The form of its value, in a word or two."""
    hint = str(argument.hint)
    if _check_duration in _checks(argument):
        return "duration"
    if is_list(argument):
        return "list"
    if "bool" in hint:
        return "true or false"
    return next(
        (form for part, form in (("int", "number"), ("Path", "file"), ("float", "number")) if part in hint), "text"
    )


def default_of(argument: Argument) -> str | None:
    """The value of a setting that nobody gives: its default, or that in brackets in its help; None: there is none."""
    default = argument.field_info.default
    if isinstance(default, bool | str | int):
        return str(default).lower() if isinstance(default, bool) else str(default)
    found = re.search(r"\[(.+)\]$", argument.parameter.help or "")
    return None if found is None else found[1]


CHECKED = Parameter(validator=_check_utf8)
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False)]
# What may begin with a hyphen, as ids may, and - for stdin.
AnyText = Annotated[str, Parameter(allow_leading_hyphen=True)]
File = Annotated[Path, Parameter(allow_leading_hyphen=True, converter=_named_path)]
NamedPath = Annotated[Path, Parameter(converter=_named_path)]
Texts = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]
Seconds = Annotated[float, Parameter(validator=_check_seconds)]
Interval = Annotated[float, Parameter(validator=_check_interval)]  # between two looks at a server

# Settings. A configuration file has lists for what a flag takes separated by commas.
DurationText = Annotated[str, Parameter(validator=(_check_utf8, _check_duration))]
Listen = Annotated[str, Parameter(validator=(_check_utf8, _check_listen))]
CommaTexts = Annotated[str, Parameter(validator=(_check_utf8, _is_listed))]
Hosts = Annotated[str, Parameter(validator=(_check_utf8, _is_listed, _check_hosts))]
Ports = Annotated[str, Parameter(validator=(_check_utf8, _is_listed, _check_ports))]
Secret = Annotated[str, Parameter(validator=(_check_utf8, _is_secret))]
ConfigFile = Annotated[NamedPath | None, Parameter(name="--config", env_var="HOOKLINE_CONFIG")]
