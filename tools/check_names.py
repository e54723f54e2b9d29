"""Checks that no two classes or type aliases of the source have one name: a reader who meets it knows which is meant.

The SDK's answers bear the names that the API's documentation has for what the service sends, so these files may
share names.

Usage: python -m tools.check_names [PACKAGE]    exit code 1 and one line for each name that is there twice.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tools.findings import report

ONE_THING = frozenset(
    {
        "client/answers.py",
        "client/move_answers.py",
        "protocol/http.py",
        "protocol/http_audit.py",
        "protocol/http_keys.py",
        "protocol/http_logs.py",
        "protocol/http_moves.py",
        "protocol/http_tenants.py",
    }
)


def names(source: str) -> Iterator[str]:
    """Classes and type aliases on the outermost level."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[:1].isupper() and len(name) > 1 and not name.isupper():
                yield name


def doubles(package: Path) -> dict[str, list[str]]:
    """The files of each name that two of them define, for the package in this folder."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        file = path.relative_to(package).as_posix()
        if file.endswith("_pb2.py"):
            continue
        for name in names(path.read_text(encoding="utf-8")):
            found[name].append(file)
    return {name: files for name, files in sorted(found.items()) if len(files) > 1 and not set(files) <= ONE_THING}


def findings(package: Path) -> list[str]:
    """One line for each name that is there twice."""
    return [f"{name} is in {', '.join(files)}; rename one" for name, files in doubles(package).items()]


def main(arguments: list[str]) -> int:
    return report(findings, Path(arguments[0] if arguments else "src/hookline"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
