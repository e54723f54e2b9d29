"""Refuses ambiguous words before a command begins: ids may begin with a hyphen, as options do."""

import re
from collections.abc import Callable, Sequence
from inspect import signature
from itertools import pairwise, takewhile

from cyclopts import App
from cyclopts.argument import ArgumentCollection

from hookline.cli.output import usage_error
from hookline.visible import shortened, visible

_GLUED = re.compile(r"-[A-Za-z][^=]+", re.DOTALL)
_HELP = ("--help", "--version")


def check_tokens(app: App, tokens: Sequence[str]) -> None:
    """Refuse ``-y2``, which may be the flag ``-y`` or an id, and an option that a command lacks, which is not an id.

    Raises:
        CycloptsError: says how to write such an id.
    """
    _, apps, rest = app.parse_commands(list(tokens))
    command = apps[-1]
    if command.default_command is None or not _can_be_read_in_two_ways(command.default_command, rest):
        return
    arguments = command.assemble_argument_collection()
    flags = {name for one in arguments if one.hint is bool for name in one.names if re.fullmatch(r"-\w", name)}
    takers = {name for one in arguments if one.hint is not bool for name in one.names}
    before = ""
    for token in takewhile(lambda one: one != "--", rest):
        if before not in takers:
            _check(token, flags, arguments)
        before = token


def _can_be_read_in_two_ways(command: Callable[..., object], tokens: Sequence[str]) -> bool:
    """Whether it takes ids, or a token is glued together; to know more of a command takes long."""
    takes_ids = any(one.kind is not one.KEYWORD_ONLY for one in signature(command).parameters.values())
    return bool(tokens) and (takes_ids or any(_GLUED.fullmatch(token) for token in tokens))


def wants_json(tokens: Sequence[str]) -> bool:
    """Shall the result be one JSON document? Also known of a call that is wrong otherwise."""
    options = list(takewhile(lambda one: one != "--", tokens))
    return bool({"--json", "--json=true", "-ojson", "--output=json", "-o=json"} & set(options)) or any(
        name in ("-o", "--output") and value == "json" for name, value in pairwise(options)
    )


def _check(token: str, flags: set[str], arguments: ArgumentCollection) -> None:
    shown = shortened(visible(token))
    if _GLUED.fullmatch(token) and token[:2] in flags:
        raise usage_error(
            f"{shown} can be read as {token[:2]} or as an id; write {token[:2]} by itself, and an id like this behind "
            f"all options: -- {shown}"
        )
    if re.match("--[A-Za-z]", token) and token not in _HELP and not _is_option(token, arguments):
        raise usage_error(f"Unknown option: {shown}. If it is an id, write it behind all options: -- {shown}")


def _is_option(token: str, arguments: ArgumentCollection) -> bool:
    try:
        arguments.match(token.partition("=")[0])
    except ValueError:
        return False
    return True
