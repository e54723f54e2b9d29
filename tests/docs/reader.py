"""Somebody who does what a page says, block by block, and looks whether it comes as the page says.

Of what exists for this, sybil and pytest-markdown-docs run blocks as items of their own, so nothing stays from one to
the next in another process; cram and its successors read transcripts in a notation that is not Markdown. None knows of
commands that go on in another terminal. So the pages are read by markdown-it, and the rest is here.
"""

import re
from pathlib import Path
from types import TracebackType
from typing import Self

from hookline import Client
from tests.docs.here import Here
from tests.docs.pages import Block, blocks_of, is_command
from tests.docs.showing import missing
from tests.docs.terminal import Served, Terminal, commands_in
from tests.end_to_end.processes import until

# Commands that go on in a terminal of their own, and what they show when they serve.
SERVERS = {
    "hookline up": "^ready http",
    "hookline serve": "^ready http",
    "hookline proxy": "^ready http",
    "hookline worker": "^ready http",
    "hookline listen": "^ready http",
    "gunicorn": "Booting worker",
    "uvicorn": "Uvicorn running on",
    "haproxy -db": "",
}
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d+")
_ID_WORD = re.compile(r"(?<=[ /])ID(?=[ /\n]|$)")


class Reader:
    """Reads one page in a directory of its own. Use it as a context manager; in the end nothing may be left to do.

    Attributes:
        here: what the page's words mean in this test.
        id: of the job that was shown last; it stands for ``ID`` and for the ids that a page gives as examples.
        shown: what the last commands have printed.
        client: for what no page says, at the same node; quicker than commands.
    """

    def __init__(
        self,
        page: str,
        directory: Path,
        here: Here,
        *,
        url: str = "http://127.0.0.1:7070",
        api_key: str | None = None,
        is_measured: bool = False,
        **environment: str,
    ) -> None:
        """Open a page.

        Args:
            url: where Hookline is, as the page has it.
            api_key: for ``client``.
            is_measured: what is started counts for coverage.
        """
        self.page = page
        self.directory = directory
        self.here = here
        self.id = ""
        self.shown = ""
        self.client = Client(here.here(url), api_key=api_key, timeout=20, retries=6)
        self._left = blocks_of(page)
        self._number = 0
        own = {"HOME": str(directory), "COLUMNS": "110", "NO_COLOR": "1", "HOOKLINE_URL": here.here(url)}
        own |= {name: here.here(value) for name, value in environment.items()}
        directory.mkdir(exist_ok=True)
        (directory / ".curlrc").write_text("silent\nshow-error\n")  # as in a terminal, where it shows no progress
        self.terminal = Terminal(directory, own, is_measured=is_measured)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.terminal.__exit__(kind, error, trace)
        if error is None:
            assert not self._left, f"{self._left[0].place} is not reached"
            assert not self.here.unused(), f"{self.page} no longer has {self.here.unused()}"

    def follow(self, until_section: str | None = None) -> None:
        """Do what stands before the blocks of this section, or all that is left."""
        assert until_section is None or until_section in {block.section for block in self._left}, until_section
        while self._left and self._left[0].section != until_section:
            block = self._left.pop(0)
            try:
                self._do(block)
            except AssertionError as failure:
                failure.add_note(f"at {block.place}")
                raise

    @property
    def ahead(self) -> str:
        """The text of the next block."""
        return self._left[0].text

    def leave(self, until_section: str | None = None) -> None:
        """Leave what stands before the blocks of this section, or the rest, to another test of the same page."""
        while self._left and self._left[0].section != until_section:
            self._left.pop(0)

    def run(self, command: str, *, fails: bool = False) -> str:
        """Give a command, as the page has it; returns what is shown. It has to succeed, or to fail."""
        command = self._here(command)
        for server, ready in SERVERS.items():
            if command.startswith(server):
                return self.here.there(self.terminal.serve(command.rstrip(" &"), ready).shown())
        code, shown = self.terminal.run(command)
        failed = code != 0 or (command.startswith("curl") and '"code":"' in shown)
        assert failed == fails, f"{command}\nends with {code}: {shown}"
        if ids := _ID.findall(shown):
            self.id = ids[-1]
        return self.here.there(shown)

    def python(self, text: str, folder: str = ".") -> str:
        """Run this with what the page had saved in the folder; returns what is shown."""
        self._save(f"{folder}/reader_{self._number}.py", text)
        self._number += 1
        return self.run(f"(cd {folder} && python reader_{self._number - 1}.py)")

    def served(self, command: str) -> Served:
        """Finds what runs in another terminal, the newest of that name."""
        return next(one for one in reversed(self.terminal.served) if one.command.startswith(command))

    def _do(self, block: Block) -> None:
        kind, what = block.note
        match kind:
            case "not run":
                pass
            case "file":
                self._save(self.here.here(what), block.text)
            case "request":
                self.shown = self._send(what, block.text)
            case "seen in":
                until(lambda: not self._lacks(block, self.served(what).shown()), f"{block.place} is seen in {what}")
            case "from" | "refused":
                self._compare(block.text, self.run(what, fails=kind == "refused"))
            case _ if is_command(block):
                self._command(block)
            case _ if block.language == "python":
                self.shown = self.python(block.text)
            case _:
                self._compare(block.text, self.shown)

    def _command(self, block: Block) -> None:
        self.shown = ""
        for command, expected in commands_in(block.text):
            shown = self.run(command)
            self._compare(expected, shown)
            self.shown += shown

    def _lacks(self, block: Block, shown: str) -> str | None:
        return missing(block.text, self.here.there(shown))

    def _compare(self, expected: str, shown: str) -> None:
        line = missing(expected, shown)
        assert line is None, f"the page shows\n{line}\nbut here is\n{shown}"

    def _here(self, text: str) -> str:
        if self.id:
            text = _ID_WORD.sub(self.id, _ID.sub(self.id, text))
        return self.here.here(text)

    def _save(self, name: str, text: str) -> None:
        file = self.directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.here.here(text), encoding="utf-8")

    def _send(self, what: str, body: str) -> str:
        method, path = what.split()
        file = self.directory / "body.json"
        file.write_text(self.here.here(body), encoding="utf-8")
        return self.run(f"curl -X {method} http://127.0.0.1:7070{path} -d @{file}")
