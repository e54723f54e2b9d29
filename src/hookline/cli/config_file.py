"""The configuration file: one for all that is started on a machine. What flags and environment say outranks it."""

import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from cyclopts import Token
from cyclopts.argument import Argument, ArgumentCollection

from hookline.cli.parameters import is_list, is_of_group, is_secret
from hookline.errors import InvalidConfig

TABLES: Final = {"serve": "node", "up": "node", "proxy": "proxy", "worker": "worker"}
CLUSTER: Final = "cluster"  # of a node: how it reaches the others
_ALL_TABLES: Final = ("node", CLUSTER, "proxy", "worker")
_BY_HAND: Final = ("config", "new-cluster")  # said once; in a file it would be said again at each start
_BYTES_MAX: Final = 256 * 1024
_OTHERS: Final = 0o077

Known = dict[tuple[str, str], Argument]
"""The settings of a command, by table and name."""


class FileSetting(NamedTuple):
    """One line of a file. ``place``: FILE:LINE."""

    table: str
    name: str
    value: Any
    place: str


watched: ContextVar[Callable[[Known, list[InvalidConfig]], None] | None] = ContextVar("watched", default=None)
"""Takes what was filled in, and all that is wrong with the file; None: the first wrong thing is raised."""


def fill(command: str, arguments: ArgumentCollection) -> None:
    """Give each setting its value in the file, unless a flag or the environment has named one. Raises InvalidConfig."""
    known = settings_of(command, arguments)
    problems = []
    for token in arguments["--config"].tokens:
        if token.value and _is_utf8(token.value):  # else the option itself is refused
            problems = list(_fill(command, Path(token.value), known))
    watcher = watched.get()
    if watcher is not None:
        watcher(known, problems)
    elif problems:
        raise problems[0]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def settings_of(command: str, arguments: Iterable[Argument]) -> Known:
    """All settings of a command."""
    found = {}
    for argument in arguments:
        for name in argument.names:
            if name.startswith("--") and not argument.children:
                found[table_of(command, argument), name.removeprefix("--")] = argument
    return found


def table_of(command: str, argument: Argument) -> str:
    """The table that the setting belongs to."""
    return CLUSTER if is_of_group(argument, "Cluster") else TABLES[command]


def _fill(command: str, file: Path, known: Known) -> Iterator[InvalidConfig]:
    settings, problems = read_settings(file)
    yield from problems
    mine = ("node", CLUSTER) if TABLES[command] == "node" else (TABLES[command],)
    for setting in settings:
        if setting.table not in mine:
            continue
        argument = known.get((setting.table, setting.name))
        try:
            if argument is None or setting.name in _BY_HAND:
                raise _unknown(command, setting, known)
            texts = _texts(setting, argument)
            if is_secret(argument):
                _check_secret(setting, argument, file)
        except InvalidConfig as problem:
            yield problem
            continue
        if not argument.tokens:
            for index, text in enumerate(texts):
                argument.append(Token(keyword=setting.name, value=text, source=setting.place, index=index))


def _unknown(command: str, setting: FileSetting, known: Known) -> InvalidConfig:
    table, name, _, place = setting
    if name in _BY_HAND:
        return InvalidConfig(f"{place}: {name} is only said by hand, as --{name}", field=name)
    if (elsewhere := next((other for other, one in known if one == name), None)) is not None:
        return InvalidConfig(f"{place}: {name} belongs into the table [{elsewhere}]", field=name)
    near = get_close_matches(name, [one for other, one in known if other == table], 1)
    hint = f"did you mean {near[0]}?" if near else f"hookline config show {TABLES[command]} lists all there are"
    return InvalidConfig(f"{place}: hookline {command} has no setting {name} in [{table}]; {hint}", field=name)


def _texts(setting: FileSetting, argument: Argument) -> list[str]:
    """As a flag would have them. Raises InvalidConfig for what no flag can be."""
    value, name = setting.value, setting.name
    if isinstance(value, list):
        if not is_list(argument):
            raise InvalidConfig(f"{setting.place}: {name} takes one value, not a list", field=name)
        texts = [_text(setting, one) for one in value]
        return texts if "list[" in str(argument.hint) else [",".join(texts)]
    return [_text(setting, value)]


def _text(setting: FileSetting, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidConfig(f"{setting.place}: {setting.name} takes a text or a number", field=setting.name)


def _check_secret(setting: FileSetting, argument: Argument, file: Path) -> None:
    if file.stat().st_mode & _OTHERS:
        environment = "".join(argument.parameter.env_var or ())
        raise InvalidConfig(
            f"{setting.place}: {setting.name} is a secret, and others may read {file}; chmod 600 {file}, or give it in "
            f"a file of its own or in {environment}",
            field=setting.name,
        )


def read_settings(file: Path) -> tuple[list[FileSetting], list[InvalidConfig]]:
    """Reads the settings in the file, and tells what is wrong with its form. Raises InvalidConfig if it cannot."""
    try:
        data = file.read_bytes()
        if len(data) > _BYTES_MAX:
            raise InvalidConfig(f"{file} cannot be read: it has more than {_BYTES_MAX:,} bytes", field="config")
        text = data.decode()
        found = tomllib.loads(text)
    except OSError as error:
        raise InvalidConfig(f"{file} cannot be read: {error.strerror or error}", field="config") from error
    except ValueError as error:
        raise InvalidConfig(f"{file} is not TOML: {error}", field="config") from error
    lines, settings, problems = _lines(text), [], []
    for table, values in found.items():
        place = f"{file}:{lines.get((table,), 1)}"
        if table not in _ALL_TABLES:
            problems.append(InvalidConfig(f"{place}: {_no_table(table, values)}", field=table))
        elif not isinstance(values, dict):
            problems.append(InvalidConfig(f"{place}: {table} is a table; begin it with [{table}]", field=table))
        else:
            settings += [
                FileSetting(table, name.replace("_", "-"), value, f"{file}:{lines.get((table, name), 1)}")
                for name, value in values.items()
            ]
    return settings, problems


def _no_table(name: str, value: Any) -> str:
    there = ", ".join(f"[{table}]" for table in _ALL_TABLES)
    if not isinstance(value, dict):
        return f"{name} stands in no table; there are {there}"
    near = get_close_matches(name, _ALL_TABLES, 1)
    return f"there is no table [{name}]; " + (f"did you mean [{near[0]}]?" if near else f"there are {there}")


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each table and of each key. A statement of TOML can be read by itself, so each is."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    statement, begun = "", 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        begun = begun if statement else number
        statement += line
        if begun != number and not any(end in line for end in ("]", "}", '"""', "'''")):
            continue  # of a list or a text of many lines
        try:
            read = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table = tuple(_paths((), read))[-1]
            found.setdefault(table, begun)
        else:
            for path in _paths(table, read):
                found.setdefault(path, begun)
        statement = ""
    return found


def _paths(before: tuple[str, ...], value: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*before, name)
            yield from _paths((*before, name), inner)
