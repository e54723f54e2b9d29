"""Checks that each line of the log has an event that ``hookline.telemetry.log_events`` knows, and the reverse.

A name is written out where the line is written, or chosen between two that are; so whoever meets it finds its place.

Usage: python -m tools.check_log_events [PACKAGE]    exit code 1 and one line for each finding.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.findings import report

LEVELS = ("debug", "info", "warning", "error", "exception")
KNOWN = "telemetry/log_events.py"
_PASSED_ON = "http_api/rare_lines.py"  # its callers name the event


class LogLine(NamedTuple):
    """A place where lines are written; ``events`` is empty where the name is not written out."""

    file: str
    line: int
    events: tuple[str, ...]
    level: str
    area: str
    values: tuple[str, ...]


def log_lines(source: str, file: str) -> Iterator[LogLine]:
    """All places of a module, from the first line to the last."""
    tree = ast.parse(source)
    area = next((found for node in tree.body if (found := _area(node))), "")
    for node in sorted(_calls(tree), key=lambda call: call.lineno):
        assert isinstance(node.func, ast.Attribute)
        is_rare = node.func.attr == "say"
        level = "warning" if is_rare else node.func.attr
        values = tuple(keyword.arg for keyword in node.keywords if keyword.arg and keyword.arg != "exc_info")
        yield LogLine(
            *(file, node.lineno, _events(node.args[0]) if node.args else ()),
            *("error" if level == "exception" else level, "api" if is_rare else area, values),
        )


def _area(node: ast.stmt) -> str:
    match node:
        case ast.Assign([ast.Name("_log")], ast.Call(ast.Name("log_of"), [ast.Constant(str(area))])):
            return area
    return ""


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(ast.Name("_log"), level)) if level in LEVELS:
                yield node
            case ast.Call(ast.Attribute(ast.Attribute(_, "_lines"), "say")):
                yield node


def _events(name: ast.expr) -> tuple[str, ...]:
    match name:
        case ast.Constant(str(event)):
            return (event,)
        case ast.IfExp(_, body, other):
            found = (_events(body), _events(other))
            return () if () in found else found[0] + found[1]
    return ()


def lines_of(package: Path) -> list[LogLine]:
    """All places of the package in this folder."""
    return [
        line
        for path in sorted(package.rglob("*.py"))
        if (file := path.relative_to(package).as_posix()) != _PASSED_ON
        for line in log_lines(path.read_text(encoding="utf-8"), file)
    ]


def known_events(package: Path) -> set[str]:
    """The names that the package has."""
    for node in ast.parse((package / KNOWN).read_text(encoding="utf-8")).body:
        match node:
            case ast.AnnAssign(ast.Name("EVENTS"), value=ast.Dict(keys)):
                return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return set()


def findings(package: Path) -> list[str]:
    """One line for each thing to mend, for the package in this folder."""
    known, lines = known_events(package), lines_of(package)
    found = []
    for line in lines:
        place = f"{line.file}:{line.line}"
        if not line.events:
            found.append(f"{place}: write the event's name out: a text, or one of two")
        if not line.area:
            found.append(f"{place}: say to which area the lines belong: _log = log_of(…)")
        found += [f"{place}: {event} is not in {KNOWN}" for event in line.events if event not in known]
    said = {event for line in lines for event in line.events}
    return found + [f"{KNOWN}: nothing says {event}" for event in sorted(known - said)]


def main(arguments: list[str]) -> int:
    return report(findings, Path(arguments[0] if arguments else "src/hookline"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
