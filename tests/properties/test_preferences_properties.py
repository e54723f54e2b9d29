"""Preferences are read as RFC 7240 writes them, whatever stands around them, and no text is an error."""

from hypothesis import given
from hypothesis import strategies as st

from hookline.http_api.preferences import preferences

TOKENS = "!#$%&'*+-.^_`|~09azAZ"
SPACE = st.text(" \t", max_size=2)
tokens = st.text(TOKENS, min_size=1, max_size=8)
quoted_texts = st.text("".join(map(chr, (9, *range(32, 127), *range(160, 256)))), max_size=8)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def words(draw: st.DrawFn) -> tuple[str, str]:
    """(a word as it is written, and what it means)."""
    if draw(st.booleans()):
        token = draw(tokens)
        return token, token
    text = draw(quoted_texts)
    return _quoted(text), text


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str, str]:
    """(a preference with any parameters and space, its name, its value)."""
    name, (word, value) = draw(tokens), draw(words())
    text = name
    if draw(st.booleans()):
        text += f"{draw(SPACE)}={draw(SPACE)}{word}"
    else:
        value = ""
    for _ in range(draw(st.integers(0, 2))):
        text += f"{draw(SPACE)};{draw(SPACE)}"
        if draw(st.booleans()):
            text += draw(tokens) + draw(st.sampled_from(("", "=", " = ")))
    return text, name, value


malformed = st.sampled_from(("", "=minimal", "a b", "re(turn=minimal", 'x="open', ";p", "a=b=c", 'a="b"c', "\xfc=1"))


@st.composite
def lines_of_preferences(draw: st.DrawFn) -> tuple[list[bytes], list[tuple[str, str]]]:
    """(header lines, what is in them in order); a quote that stays open ends its line."""
    lines, meant = [], []
    for _ in range(draw(st.integers(0, 3))):
        items = []
        for _ in range(draw(st.integers(0, 4))):
            if draw(st.booleans()):
                items.append(draw(malformed))
                if items[-1].endswith('"open'):
                    break
                continue
            text, name, value = draw(written())
            items.append(draw(SPACE) + text + draw(SPACE))
            meant.append((name, value))
        lines.append(draw(st.sampled_from((",", " , "))).join(items).encode("latin-1"))
    return lines, meant


@given(lines_of_preferences())
def test_what_is_well_formed_is_found_and_the_first_of_a_name_wins(
    given: tuple[list[bytes], list[tuple[str, str]]],
) -> None:
    lines, meant = given
    wanted: dict[bytes, bytes] = {}
    for name, value in meant:
        wanted.setdefault(name.lower().encode(), value.encode("latin-1"))
    assert preferences(lines) == wanted


@given(st.lists(st.binary(max_size=60) | st.text('return=minimal;," \\\t', max_size=60).map(str.encode), max_size=3))
def test_no_text_is_an_error(lines: list[bytes]) -> None:
    for name, value in preferences(lines).items():
        assert name == name.lower()
        assert isinstance(value, bytes)
