"""Reads all settings of a process as its command does, and goes on behind what is wrong, to tell all of it at once."""

from collections.abc import Sequence
from typing import NamedTuple

from cyclopts import CycloptsError, MissingArgumentError, Token
from cyclopts.argument import Argument

from hookline.cli.app import app
from hookline.cli.config_file import Known, settings_of, watched
from hookline.cli.launch import Launch
from hookline.errors import HooklineError, InvalidConfig

_LISTEN = ("host", "port")
_PLACEHOLDER = "http://127.0.0.1:1"  # for what is missing; it can be a url and a path


class GivenSetting(NamedTuple):
    """One setting, and the texts that were given for it, each with its origin."""

    table: str
    name: str
    argument: Argument
    tokens: tuple[Token, ...]


class SettingsReading:
    """Tells what a command would start with.

    Args:
        command: serve, proxy or worker.
        flags: what else it is given.

    Attributes:
        settings: all it has, in its order.
        problems: what is wrong, a sentence each.
        start: what would run, with defaults in place of what is wrong; None: there is no telling.
    """

    def __init__(self, command: str, flags: Sequence[str]) -> None:
        self.settings: list[GivenSetting] = []
        self.problems: list[str] = []
        self.start: Launch | None = None
        self._known: Known = {}
        self._wrong: set[int] = set()  # places of settings
        self._is_first = True
        token = watched.set(self._filled)
        try:
            while self._is_going_on([command, *flags]):
                pass
        finally:
            watched.reset(token)

    def _is_going_on(self, tokens: Sequence[str]) -> bool:
        """Read them once; shall it be tried again without the one that is wrong?"""
        self._known = {}
        try:
            function, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
            self.start = function(*bound.args, **bound.kwargs)
            return False
        except CycloptsError as error:
            names = [] if error.argument is None else [error.argument.name.removeprefix("--")]
            text = f"--{names[0]} has to be given" if isinstance(error, MissingArgumentError) and names else str(error)
        except HooklineError as error:
            names, text = _names(error.field or ""), error.detail
        place = next((place for place, (_, name) in enumerate(self._known) if name in names), None)
        self.problems.append(text if place is None else self._placed(place, text))
        if place is None or place in self._wrong:
            return False
        self._wrong.add(place)
        return True

    def _filled(self, known: Known, problems: list[InvalidConfig]) -> None:
        self._known = known
        if self._is_first:
            self._is_first = False
            self.problems += [problem.detail for problem in problems]
            self.settings = [
                GivenSetting(table, name, argument, tuple(argument.tokens)) for (table, name), argument in known.items()
            ]
        for place, argument in enumerate(known.values()):
            if place in self._wrong:
                argument.tokens.clear()
                if argument.required:
                    argument.append(Token(value=_PLACEHOLDER, source="placeholder"))

    def _placed(self, place: int, text: str) -> str:
        """With the origin of the value, unless that is a flag."""
        tokens = self.settings[place].tokens
        if not tokens or tokens[0].source == "cli" or tokens[0].source in text:
            return text
        return f"{origin_of(tokens[0])}: {text}"


def described(command: str) -> Known:
    """All settings of a command, with their help."""
    found = app.parse_commands([command])[1][-1]
    return settings_of(command, found.assemble_argument_collection(parse_docstring=True))


def origin_of(token: Token) -> str:
    """The origin of a text: FILE:LINE, the environment variable or the flag."""
    return (token.keyword or "") if token.source in ("cli", "env") else token.source


def _names(field: str) -> list[str]:
    """The settings that a field of a configuration can come from."""
    name = field.replace("_", "-")
    return ["listen"] if name in _LISTEN else [name, name.removesuffix("-ms"), name.removesuffix("-bytes")]
