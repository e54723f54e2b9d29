from pathlib import Path

import pytest

from tools import check_purity


def write(root: Path, name: str, source: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return path


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("protocol/jobs.py", "import time"),
        ("protocol/wire/frames.py", "import os.path"),
        ("node/dispatch/retry.py", "from random import random"),
        ("node/dispatch/due.py", "def due():\n    import asyncio\n"),
        ("node/state_machine/apply_jobs.py", "from datetime import datetime"),
        ("node/state_machine/apply/schedules.py", "import zoneinfo"),
    ],
)
def test_an_impure_import_is_found(tmp_path: Path, name: str, source: str) -> None:
    path = write(tmp_path, name, source)
    [finding] = check_purity.findings(tmp_path)
    assert finding.startswith(f"{path}:")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("protocol/jobs.py", "import datetime\nfrom hookline.protocol import time"),
        ("protocol/cron.py", "import zoneinfo"),
        ("node/dispatch/dispatcher.py", "import asyncio"),
        ("node/attempts/delivery.py", "import socket"),
    ],
)
def test_other_imports_and_other_modules_are_left_alone(tmp_path: Path, name: str, source: str) -> None:
    write(tmp_path, name, source)
    assert check_purity.findings(tmp_path) == []


@pytest.mark.parametrize("name", ["node/member.py", "node/api/jobs.py"])
def test_only_the_replica_applies_entries(tmp_path: Path, name: str) -> None:
    source = "def catch_up(machine, entry):\n    machine.apply(entry)\n"
    write(tmp_path, "node/replica.py", source)
    assert check_purity.findings(tmp_path) == []
    path = write(tmp_path, name, source)
    assert check_purity.findings(tmp_path) == [
        f"{path}:2: only node/replica.py applies entries; propose a command to it"
    ]


def test_the_package_is_pure_where_it_must_be() -> None:
    assert check_purity.main([]) == 0


def test_a_missing_package_is_no_success(tmp_path: Path) -> None:
    assert check_purity.main([str(tmp_path / "hookline")]) == 2
