"""``hookline config …``: which settings hold, where they come from, and what is wrong with them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cyclopts import App

from hookline.cli.config_file import CLUSTER, TABLES, read_settings
from hookline.cli.config_warnings import warnings_of
from hookline.cli.output import print_json, show_whole, stderr, stdout, usage_error, warn
from hookline.cli.parameters import AnyText, ConfigFile, Flag, default_of, is_secret
from hookline.cli.settings_reading import GivenSetting, SettingsReading, described, origin_of
from hookline.cli.sheet import Column, Sheet
from hookline.visible import without_password

app = App(name="config", help="Which settings hold, where they come from, and whether they go together.")

What = Literal["node", "proxy", "worker"]
_COMMANDS: dict[str, str] = {"node": "serve", "proxy": "proxy", "worker": "worker"}
_MASKED = "********"
_ROOT_KEY = "HOOKLINE_ROOT_KEY"
_ORIGINS = {"cli": "flag", "env": "environment"}


@app.command
def show(what: What = "node", /, *flags: AnyText, config: ConfigFile = None, json: Flag = False) -> int:
    """Show each setting, its value and its origin: a flag, the environment, a line of the file, or the default.

    For example: hookline config show node --config /etc/hookline/hookline.toml -- --slots 200

    Args:
        what: Whose settings.
        flags: Behind --: flags of hookline serve, proxy or worker, as it would be started with.
        config: A file of settings.
        json: Print exactly one JSON document on stdout.
    """
    reading = SettingsReading(_COMMANDS[what], _flags(config, flags))
    defaults = {place: default_of(argument) for place, argument in described(_COMMANDS[what]).items()}
    shown = [one for one in reading.settings if one.name != "config"]
    rows = [(one, _value(one) or defaults[one.table, one.name], *_origin(one)) for one in shown]
    if json:
        names = ("table", "name", "value", "origin", "at")
        found = [dict(zip(names, (one.table, one.name, *rest), strict=True)) for one, *rest in rows]
        print_json({"settings": found, "problems": reading.problems})
    else:
        sheet = Sheet((Column("TABLE"), Column("SETTING"), Column("VALUE", is_long=True), Column("FROM")))
        for one, value, origin, at in rows:
            sheet.add(one.table, one.name, value or "", at or origin)
        show_whole(sheet)
        for problem in reading.problems:
            warn(problem)
    return 1 if reading.problems else 0


@app.command
def check(what: What | None = None, /, *flags: AnyText, config: ConfigFile = None, json: Flag = False) -> int:
    """Check the settings without starting anything. Tells all that is wrong, and warns of what fits badly.

    For example: hookline config check --config /etc/hookline/hookline.toml

    Args:
        what: Whose settings; without it all that the file has a table for.
        flags: Behind --: flags of hookline serve, proxy or worker, as it would be started with.
        config: A file of settings.
        json: Print exactly one JSON document on stdout.
    """
    problems: dict[str, None] = {}  # of a file all find the same; in order, each once
    warnings: dict[str, None] = {}
    checked = [what] if what is not None else list(_told(config))
    for one in checked:
        reading = SettingsReading(_COMMANDS[one], _flags(config, flags))
        problems |= dict.fromkeys(reading.problems)
        warnings |= dict.fromkeys(warnings_of(reading))
    if json:
        print_json({"ok": not problems, "checked": checked, "problems": list(problems), "warnings": list(warnings)})
        return 1 if problems else 0
    for warning in warnings:
        warn(warning)
    for problem in problems:
        stderr().print(f"error: {problem}", style="bold red", soft_wrap=True)
    if not problems:
        stdout().print(f"the settings of {', '.join(checked)} are in order", soft_wrap=True)
    return 1 if problems else 0


def _told(file: Path | None) -> Iterator[str]:
    """Names what the file has a table for."""
    if file is None:
        raise usage_error("Say which file with --config, or whose settings: node, proxy or worker.")
    tables = {setting.table for setting in read_settings(file)[0]}
    found = [one for one in _COMMANDS if one in tables or (one == "node" and CLUSTER in tables)]
    yield from found or [TABLES["serve"]]


def _flags(config: Path | None, flags: tuple[str, ...]) -> list[str]:
    return [*(() if config is None else ("--config", str(config))), *flags]


def _value(setting: GivenSetting) -> str | None:
    """The value that was given; None: there is none."""
    if not setting.tokens:
        return _MASKED if _is_root_key(setting) else None
    if is_secret(setting.argument):
        return _MASKED
    return ",".join(without_password(token.value or str(token.implicit_value).lower()) for token in setting.tokens)


def _origin(setting: GivenSetting) -> tuple[str, str]:
    """(kind, place)."""
    if not setting.tokens:
        return ("environment", _ROOT_KEY) if _is_root_key(setting) else ("default", "")
    return _ORIGINS.get(setting.tokens[0].source, "file"), origin_of(setting.tokens[0])


def _is_root_key(setting: GivenSetting) -> bool:
    """The root key may be in the environment itself, where nobody names a file."""
    return setting.name == "root-key-file" and bool(os.environ.get(_ROOT_KEY, "").strip())
