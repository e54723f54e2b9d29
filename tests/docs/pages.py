"""A page as its reader meets it: blocks, in order.

A comment right before a block, which readers do not see, says what they do with it. Without one, commands are given,
Python is run, and anything else is what the block before it has printed.

    <!-- not run: WHY -->          no test can do this
    <!-- file: NAME -->            it is saved under this name
    <!-- request: METHOD PATH -->  it is sent to Hookline
    <!-- seen in: COMMAND -->      the terminal in which this runs shows it
    <!-- from: COMMAND -->         this command prints it
    <!-- refused: COMMAND -->      this command is refused with it
"""

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
NOTES = ("not run", "file", "request", "seen in", "from", "refused")
FOLLOWED = ("README.md", "docs/tutorial/*.md", "docs/how-to/*.md")
_note = re.compile(r"<!-- ({}): (.+?) -->".format("|".join(NOTES)), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        place: file and line, for messages.
        section: the heading it stands under.
        language: as the fence says.
        note: what the comment before it says: (one of NOTES, the rest); ("", "") without one.
    """

    place: str
    section: str
    language: str
    text: str
    note: tuple[str, str]


def page_names() -> list[str]:
    """All pages that are followed, from the root of the repository."""
    found = sorted(path for pattern in FOLLOWED for path in ROOT.glob(pattern))
    return [path.relative_to(ROOT).as_posix() for path in found]


def blocks_of(name: str) -> list[Block]:
    """The blocks of a page, from top to bottom."""
    blocks: list[Block] = []
    section, note, in_heading = "", ("", ""), False
    for token in MarkdownIt().parse((ROOT / name).read_text(encoding="utf-8")):
        if token.type == "inline" and in_heading:
            section = token.content
        in_heading = token.type == "heading_open"
        if token.type == "html_block":
            found = _note.fullmatch(token.content.strip())
            assert found, f"{name}: a comment of another kind: {token.content}"
            note = (found[1], " ".join(found[2].split()))
        elif token.type == "fence":
            assert token.map
            place = f"{name}:{token.map[0] + 1}"
            blocks.append(Block(place, section, token.info.strip(), token.content, note))
            note = ("", "")
    return blocks


def is_command(block: Block) -> bool:
    """It is for a shell."""
    return block.language in ("console", "sh")
