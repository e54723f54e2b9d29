"""Fills the parts of a page of the documentation that a program writes. Pure.

A part stands between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``; everything else is left as it is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

BLOCK: Final = re.compile(r"(<!-- ([^>]+): begin -->\n)(.*?)(<!-- \2: end -->)", re.DOTALL)


def filled(page: str, parts: Mapping[str, Sequence[str]]) -> str:
    """The page with the lines of each part. Raises ValueError if it has not just one place for each of them."""
    names = [block[2] for block in BLOCK.finditer(page)]
    if sorted(names) != sorted(parts):
        raise ValueError(f"the page has the parts {sorted(names)}; it needs {sorted(parts)}")
    return BLOCK.sub(lambda found: "\n".join([found[1], *parts[found[2]], "", found[4]]), page)
