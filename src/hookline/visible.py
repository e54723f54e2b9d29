"""Text as it may be shown: what a terminal would obey is written out, a password in a url is left out. Pure.

A receiver's answer, a request to ``hookline listen`` or a job's url may hold escape sequences (ECMA-48), which move the
cursor, change the title or the clipboard, and marks that turn the direction of text (Unicode, UAX 9).
"""

import re

# All of Unicode's control and format characters but new line, tab and the two joiners; lone surrogates as well.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)
# Up to the last "@", wherever it is: a password with "/" or "?" in it makes the url wrong, and the error shows the url.
_USER = re.compile(r"^(\w+:/*)?.*@", re.DOTALL)
_SHOWN_MAX = 800  # characters
_LINE_ENDS = str.maketrans({"\n": r"\n", "\t": r"\t"})


def visible(text: str) -> str:
    r"""The text with every such character written as in Python: ``\x1b``, ``\u202e``. New lines and tabs stay."""
    return _UNSEEN.sub(_escaped, text)


def visible_line(text: str) -> str:
    """The same with new lines and tabs written out too, so that it cannot pass for another line."""
    return visible(text.translate(_LINE_ENDS))


def visible_json(document: str) -> str:
    """JSON with these characters, which only stand in its texts, escaped as JSON does; the value is the same."""
    return _UNSEEN.sub(_json_escaped, document)


def shortened(text: str) -> str:
    """The text without the middle of it when it is long: what was typed wrongly may be a whole file."""
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX // 2]} … {text[-_SHOWN_MAX // 2 :]}"


def without_password(url: str) -> str:
    """The url, or what was meant to be one, with ``***`` for a user's name and password."""
    return _USER.sub(lambda found: f"{found[1] or ''}***@", url, count=1)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
