"""Puts free ports, a receiver and a temporary directory in the place of those that the pages name."""

import re

from tests.end_to_end.fleet import fresh_port

PORTS = (7000, 7070, 8000, 9000)  # a proxy, a node, the reader's own application, `hookline listen`
_PORT = re.compile(r"(127\.0\.0\.1:|localhost:|--port |--forward-to )(\d+)\b")
_LINE = re.compile(r"^(hookline (?:up|listen))\b(?!.* --port)", re.MULTILINE)
_DEFAULTS = {"hookline up": 7070, "hookline listen": 9000}


class Here:
    """The page's words and ports, each with what stands for it in this test.

    Attributes:
        words: text of a page to text of this test; the longest are looked for first.
        ports: likewise, where a port stands behind ``127.0.0.1:`` or ``--port``.
    """

    def __init__(
        self,
        words: dict[str, str] | None = None,
        ports: dict[int, int] | None = None,
        usual: dict[str, str] | None = None,
    ) -> None:
        """Of ``words`` each has to be in the page; ``usual`` are in some pages."""
        self.words = {**(usual or {}), **(words or {})}
        self.ports = {port: fresh_port() for port in PORTS} | (ports or {})
        self._unused = set(words or {})

    def here(self, text: str) -> str:
        """Turns what the page says into what has to be said in this test."""
        for word in sorted(self.words, key=len, reverse=True):
            if word in text:
                self._unused.discard(word)
                text = text.replace(word, self.words[word])
        text = _LINE.sub(lambda found: f"{found[1]} --port {_DEFAULTS[found[1]]}", text)
        return _PORT.sub(lambda found: f"{found[1]}{self.ports.get(int(found[2]), found[2])}", text)

    def there(self, text: str) -> str:
        """Turns what is shown in this test into what the page would show."""
        for word, real in sorted(self.words.items(), key=lambda pair: len(pair[1]), reverse=True):
            # Paths and addresses only: what stands for other words is not shown.
            if real in text and re.search(r"/|\d:\d", word):
                self._unused.discard(word)
                text = text.replace(real, word)
        for port, free in self.ports.items():
            text = re.sub(rf"(?<=:){free}\b", str(port), text)
        return text

    def unused(self) -> set[str]:
        """Words that no page has any more."""
        return self._unused
