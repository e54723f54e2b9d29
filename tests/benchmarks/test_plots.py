"""The same figures make the same bytes, whatever the machine's settings, and no date stands in them."""

from pathlib import Path

import matplotlib as mpl
import pytest
from plots import Panel, Series, bars, lines, number

RATES = Series("three nodes", ["50 ms", "200 ms"], [1_900, 495], low=[1_800, 490], high=[2_000, 499])
LAG = Panel(
    [Series("lag", range(100), range(100)), Series("of others", [0, 99], [1, 1])], "s", "ms", moments={"lost": 40}
)


def test_drawing_again_changes_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "first.svg", tmp_path / "new" / "second.svg"
    lines(first, [LAG, LAG])
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "another", "axes.grid": False}):
        lines(second, [LAG, LAG])
    assert first.read_bytes() == second.read_bytes()
    assert "date" not in first.read_text().lower()


def test_text_stays_text(tmp_path: Path) -> None:
    drawn = tmp_path / "rates.svg"
    bars(drawn, Panel([RATES], "webhook", "jobs/s"))
    found = drawn.read_text()
    assert all(f">{words}</text>" in found for words in ("three nodes", "200 ms", "jobs/s", "2,000"))


def test_bars_of_other_groups_are_refused(tmp_path: Path) -> None:
    other = Series("one node", ["50 ms", "1 s"], [1, 2])
    with pytest.raises(ValueError, match="one node"):
        bars(tmp_path / "rates.svg", Panel([RATES, other], "webhook", "jobs/s"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.05, "0.05"), (20, "20"), (1_000, "1,000"), (20_000, "20k"), (1_500_000, "1.5M")],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown
