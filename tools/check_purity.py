"""Checks that the modules that decide stay pure (no clock, no randomness, no I/O), and that one alone writes state.

Import-linter would need every module by name and fails on one that is not there; these are globs, so a new
module in such a place is held to the rule from its first line. Only direct imports count: what a pure module
imports from Hookline is held to its own rule, by this check or by the layers.

Only the replica applies entries: nothing else in a node calls a method ``apply``. The state machine itself is handed
around, to be opened, read and closed, so no import tells.

Usage: python -m tools.check_purity [PACKAGE]    exit code 1 and one line for each finding.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.findings import report

IMPURE = frozenset({"asyncio", "time", "random", "secrets", "socket", "os", "threading", "subprocess"})

# Applying an entry must give the same state on every node, so the time zone data of the machine is out as well.
IMPURE_IN_APPLY = IMPURE | {"uuid", "zoneinfo", "datetime"}

RULES: tuple[tuple[str, frozenset[str]], ...] = (
    ("protocol/**/*.py", IMPURE),
    ("telemetry/tracing/context.py", IMPURE),
    ("telemetry/tracing/otlp.py", IMPURE),
    ("telemetry/tracing/sampling.py", IMPURE),
    ("telemetry/tracing/settings.py", IMPURE),
    ("client/answers.py", IMPURE),
    ("client/failed_calls.py", IMPURE),
    ("client/huge_numbers.py", IMPURE),
    ("client/place.py", IMPURE),
    ("client/replies.py", IMPURE),
    ("client/requests.py", IMPURE),
    ("http_api/callers.py", IMPURE),
    ("peers/sender.py", IMPURE),
    ("proxy/health.py", IMPURE),
    ("proxy/retry_plan.py", IMPURE),
    ("proxy/splitting.py", IMPURE),
    ("proxy/merging.py", IMPURE),
    ("proxy/move_plan.py", IMPURE),
    ("proxy/move_status.py", IMPURE),
    ("proxy/balancing.py", IMPURE),
    ("http_client/request.py", IMPURE),
    ("http_client/answer.py", IMPURE),
    ("http_client/pool.py", IMPURE),
    ("node/admission.py", IMPURE),
    ("node/attempts/answers.py", IMPURE),
    ("node/dispatch/blocked.py", IMPURE),
    ("node/dispatch/due.py", IMPURE),
    ("node/dispatch/fairness.py", IMPURE),
    ("node/dispatch/plan.py", IMPURE),
    ("node/dispatch/rate.py", IMPURE),
    ("node/dispatch/retry.py", IMPURE),
    ("node/dispatch/timers.py", IMPURE),
    ("node/clocks/guard.py", IMPURE),
    ("node/history/recovery.py", IMPURE),
    ("node/identity.py", IMPURE),
    ("node/clocks/majority.py", IMPURE),
    ("node/state_machine/apply*.py", IMPURE_IN_APPLY),
    ("node/state_machine/apply*/**/*.py", IMPURE_IN_APPLY),
    ("node/state_machine/effects.py", IMPURE_IN_APPLY),
    ("node/state_machine/records.py", IMPURE_IN_APPLY),
    ("node/state_machine/rows.py", IMPURE_IN_APPLY),
    ("node/state_machine/sums.py", IMPURE_IN_APPLY),
    ("node/state_machine/tables.py", IMPURE_IN_APPLY),
)

APPLIES = "node/replica.py"


def calls_of_apply(source: str) -> Iterator[int]:
    """The line of each call of a method named apply."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "apply":
            yield node.lineno


def imported_modules(source: str) -> Iterator[tuple[int, str]]:
    """The line and the full name of each module that the source imports, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def findings(package: Path) -> list[str]:
    """One line for each import or call that breaks a rule, for the package in this folder, sorted."""
    found = {
        f"{path}:{line}: only {APPLIES} applies entries; propose a command to it"
        for path in package.glob("node/**/*.py")
        if path != package / APPLIES
        for line in calls_of_apply(path.read_text(encoding="utf-8"))
    }
    for pattern, impure in RULES:
        for path in package.glob(pattern):
            for line, module in imported_modules(path.read_text(encoding="utf-8")):
                if module.partition(".")[0] in impure:
                    found.add(f"{path}:{line}: a pure module imports {module}; take it as an argument")
    return sorted(found)


def main(arguments: list[str]) -> int:
    return report(findings, Path(arguments[0] if arguments else "src/hookline"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
