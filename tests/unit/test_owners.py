"""The life of one process proves the death of an earlier one."""

from pathlib import Path

import pytest

from hookline.node.membership.home import home_of, owner_of
from hookline.protocol.owners import Owner, is_replaced
from tests.node_parts import NEXT_OWNER, OTHER_OWNER, OWNER, ManualClock


@pytest.mark.parametrize(
    ("owner", "by", "expected"),
    [
        (OWNER, NEXT_OWNER, True),
        (OWNER, OWNER, False),
        (OWNER, OTHER_OWNER, False),
        ("n1/there/1", NEXT_OWNER, False),  # a machine that was replaced may still run
        ("n2/here/1", NEXT_OWNER, False),
        ("", NEXT_OWNER, False),
        ("", "", False),
        ("n1", "n2", False),
    ],
)
def test_only_an_earlier_process_on_the_same_directory_is_replaced(owner: str, by: str, expected: bool) -> None:
    assert is_replaced(owner, by) == expected


def test_an_owner_is_text_of_three_parts() -> None:
    assert str(Owner("n1", "here", "1")) == OWNER


def test_processes_on_one_data_directory_share_their_place_and_others_do_not(tmp_path: Path) -> None:
    clock = ManualClock()
    homes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        homes.append(home_of(tmp_path / name, clock))
    first, again, other = (owner_of("n1", home, start) for home, start in zip((*homes[:1], *homes), "123", strict=True))
    assert is_replaced(first, by=again)
    assert not is_replaced(first, by=other)
