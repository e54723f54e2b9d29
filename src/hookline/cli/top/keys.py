"""Keys of a terminal as names, read one at a time without waiting for Enter."""

import os
import select
import signal
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

_SEQUENCES: Final = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[5~": "pageup",
    "\x1b[6~": "pagedown",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
}
_SEQUENCE_S: Final = 0.05  # the rest of a sequence follows its ESC at once
_READ_BYTES: Final = 1_024


@contextmanager
def single_keys(terminal: int) -> Iterator[None]:
    """Have the terminal give each key at once and show none; it is as it was afterwards. Ctrl-C stays what it is."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextmanager
def interrupt_noted() -> Iterator[list[int]]:
    """Raise Ctrl-C at the end only; until then it is in the list. A second one is raised at once.

    KeyboardInterrupt comes anywhere: where Python runs what cannot fail, a finalizer for example, it is lost.
    """
    noted: list[int] = []

    def note(number: int, _frame: object) -> None:
        noted.append(number)
        signal.signal(number, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
    if noted:
        raise KeyboardInterrupt


def read_keys(terminal: int, others: Sequence[int], wait_s: float) -> list[str]:
    """The keys that were pressed; none after ``wait_s``, or once one of ``others`` can be read. Raises EOFError."""
    ready, _, _ = select.select([terminal, *others], [], [], wait_s)
    for other in others:
        if other in ready:
            os.read(other, _READ_BYTES)
    if terminal not in ready:
        return []
    text = os.read(terminal, _READ_BYTES).decode("utf-8", "replace")
    if not text:
        raise EOFError
    if text.endswith(("\x1b", "\x1b[", "\x1bO")) and select.select([terminal], [], [], _SEQUENCE_S)[0]:
        text += os.read(terminal, _READ_BYTES).decode("utf-8", "replace")
    return list(keys_in(text))


def keys_in(text: str) -> Iterator[str]:
    """The names of keys in what a terminal sent; a sequence that nobody knows is passed over. Pure."""
    place = 0
    while place < len(text):
        found = next((one for one in _SEQUENCES if text.startswith(one, place)), None)
        if found is not None:
            yield _SEQUENCES[found]
            place += len(found)
        elif text.startswith("\x1b", place):
            begun, place = place, _after_sequence(text, place)
            if place == begun + 1:
                yield "escape"
        else:
            yield text[place].lower()
            place += 1


def _after_sequence(text: str, place: int) -> int:
    """The place behind an escape sequence (ECMA-48), or behind a lone ESC."""
    place += 1
    if text[place : place + 1] not in ("[", "O"):
        return place
    place += 1
    while place < len(text) and not text[place].isalpha() and text[place] != "~":
        place += 1
    return min(place + 1, len(text))
