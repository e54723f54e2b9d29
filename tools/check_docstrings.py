"""Checks that docstrings open with what the code does or holds, not with a clause of What, Who, Where or Which.

The texts below attributes and type aliases count too. A question about a predicate ("Whether …") may stand.

Usage: python -m tools.check_docstrings [ROOT]    exit code 1 and one line for each docstring to mend.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.findings import report

FOLDERS = ("src", "tests", "benchmarks", "tools")
CLAUSE = re.compile(r"\s*(What(ever)?|Who(ever|se)?|Where(ver)?|Which(ever)?)\b")


def clauses(source: str) -> Iterator[tuple[int, str]]:
    """The line and the first word of each docstring that opens with a clause."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(ast.Constant(str(text))) if found := CLAUSE.match(text):
                yield node.lineno, found[0].strip()


def findings(root: Path) -> list[str]:
    """One line for each docstring to mend, for the project in this folder, sorted."""
    return [
        f"{path.relative_to(root).as_posix()}:{line}: a docstring opens with {word}; say what the code does or holds"
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*.py"))
        for line, word in sorted(clauses(path.read_text(encoding="utf-8")))
    ]


def main(arguments: list[str]) -> int:
    return report(findings, Path(arguments[0] if arguments else "."))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
