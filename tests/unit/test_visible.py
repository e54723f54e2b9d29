"""A terminal obeys nothing that a stranger wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.visible import visible, visible_json, visible_line, without_password

OBEYED = ["\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\x00", "\x07", "\x08", "\r", "\x7f", "\u202e", "\u2066", "\ufeff"]


@pytest.mark.parametrize("sequence", OBEYED, ids=ascii)
def test_it_is_written_out(sequence: str) -> None:
    shown = visible(f"before{sequence}after")
    assert shown.isprintable()
    assert shown.startswith("before\\")
    assert json.loads(visible_json(json.dumps(sequence, ensure_ascii=False))) == sequence


def test_people_can_read_what_is_theirs() -> None:
    text = "Zoë wrote:\n\t42 € 👍"
    assert visible(text) == text
    assert visible_line(text) == "Zoë wrote:\\n\\t42 € 👍"


@given(st.text())
def test_no_text_is_obeyed_and_json_keeps_its_value(text: str) -> None:
    assert not any(character in "\x1b\x00\x07\r\u202e" for character in visible(text))
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://bob:pw@127.0.0.1:1", "http://***@127.0.0.1:1"),
        ("http://bob:p/w?x@host", "http://***@host"),
        ("http:/bob:pw@host", "http:/***@host"),
        ("http://host:7070", "http://host:7070"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
