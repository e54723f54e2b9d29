"""Three machines of the guides, each with an etcd member and a node; here they are folders and ports of this one."""

import re
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.here import Here
from tests.docs.pages import ROOT, blocks_of
from tests.docs.terminal import Served, Terminal
from tests.end_to_end.fleet import fresh_port

GUIDE = "docs/how-to/run-three-nodes.md"
_UNIT = (ROOT / "deploy" / "systemd" / "hookline-node.service").read_text()


class Machines:
    """Does what Debian's and our units do: starts etcd and the node with the settings that the guide has.

    Use it as a context manager; in the end all of it is gone.

    Attributes:
        words: addresses and paths of the guides, and what they are here.
        nodes: what runs, by number; the ninth machine takes the place of a lost one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._terminal = Terminal(directory, {})
        self._etcd: list[Served] = []
        self.nodes: dict[int, Served] = {}
        self.words = {"/etc/hookline": f"{directory}/etc"}
        for number in (1, 2, 3, 9):
            for port in (7070, 2379, 2380):
                self.words[f"10.0.0.{number}:{port}"] = f"127.0.0.1:{fresh_port()}"
        (directory / "etc").mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._terminal.__exit__(kind, error, trace)

    def is_ready(self, number: int) -> bool:
        """The node takes jobs."""
        return '"status":"ok"' in self._health(number)

    def is_halted(self, number: int) -> bool:
        """The node waits for a person."""
        return '"role":"halted"' in self._health(number)

    def _health(self, number: int) -> str:
        url = f"http://{self.words[f'10.0.0.{number}:7070']}/health"
        return subprocess.run(["curl", "-s", url], stdout=subprocess.PIPE, text=True, check=False).stdout

    def data_dir(self, number: int) -> Path:
        """Of a node: /var/lib/hookline on its machine."""
        return self._directory / f"machine{number}"

    def etcd_dir(self, number: int) -> Path:
        """Likewise of its etcd member."""
        return self._directory / f"etcd{number}"

    def start_etcd(self) -> None:
        """On all three."""
        for number in (1, 2, 3):
            lines = [self._on(number, line) for line in _file("etcd.env").splitlines()]
            text = "\n".join(lines).replace("/var/lib/etcd/hookline", str(self.etcd_dir(number)))
            self._etcd.append(self._start(f"etcd{number}.env", text, "etcd"))

    def stop_etcd(self) -> None:
        """On all three."""
        while self._etcd:
            self._etcd.pop().signal()

    def start_nodes(self, *numbers: int, more: str = "") -> None:
        """Does not wait until they are ready: there may be no cluster yet. ``more``: settings of the first node."""
        found = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", _UNIT, re.MULTILINE)
        assert found
        for number in numbers:
            command = found[1].replace("/opt/hookline/bin/", "").replace("${ADDRESS}", f"10.0.0.{number}")
            command = command.replace("/var/lib/hookline", str(self.data_dir(number)))
            settings = _file("node.env").replace("NODE=n1", f"NODE=n{number}") + more.replace("/n1", f"/n{number}")
            self.nodes[number] = self._start(f"node{number}.env", settings, command)

    def _start(self, file: str, settings: str, command: str) -> Served:
        here = Here(usual=self.words)
        path = self._directory / file
        path.write_text(here.here(settings))
        return self._terminal.serve(f"set -a; source {path}; exec {here.here(command)}", "")

    @staticmethod
    def _on(number: int, line: str) -> str:
        """On the others the name and the addresses change, but not in the list of all members."""
        if line.startswith("ETCD_INITIAL_CLUSTER="):
            return line
        return line.replace("etcd1", f"etcd{number}").replace("10.0.0.1", f"10.0.0.{number}")


def _file(name: str) -> str:
    return next(block.text for block in blocks_of(GUIDE) if block.note == ("file", name))
