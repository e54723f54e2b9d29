"""A network for a cluster on one machine: each node and its etcd member in a namespace of their own, one router.

A partition is a rule of the router that drops what goes from one to another: also one way, also silently.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.etcd_members import EtcdMember, EtcdMembers

_PREFIX = "hooklinet"
_ROUTER = f"{_PREFIX}-r"
OUTSIDE = "10.77.9.2"  # where clients and receivers are


def namespaces_work() -> bool:
    """Needs root and network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    try:
        with Network(["probe"]):
            return True
    except subprocess.CalledProcessError:
        return False


class Network:
    """Places by name; each has an address of its own."""

    def __init__(self, places: Sequence[str]) -> None:
        self.address = {place: f"10.77.{number}.2" for number, place in enumerate(places, 1)}
        self._rules: list[list[str]] = []

    def inside(self, place: str) -> list[str]:
        """Gives the words that, put before a command, run it there."""
        return ["ip", "netns", "exec", f"{_PREFIX}-{place}"]

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", _ROUTER)
            subprocess.run(["ip", "netns", "exec", _ROUTER, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
            _ip("link", "add", f"{_PREFIX}0", "type", "veth", "peer", "name", f"{_PREFIX}0r")
            _ip("link", "set", f"{_PREFIX}0r", "netns", _ROUTER)
            _ip("address", "add", f"{OUTSIDE}/24", "dev", f"{_PREFIX}0")
            _ip("link", "set", f"{_PREFIX}0", "up")
            self._router_end(0, "10.77.9.1")
            _ip("route", "add", "10.77.0.0/16", "via", "10.77.9.1")
            for number, place in enumerate(self.address, 1):
                self._add(number, place)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _add(self, number: int, place: str) -> None:
        namespace = f"{_PREFIX}-{place}"
        _ip("netns", "add", namespace)
        _ip("link", "add", f"{_PREFIX}{number}", "type", "veth", "peer", "name", f"{_PREFIX}{number}r")
        _ip("link", "set", f"{_PREFIX}{number}", "netns", namespace)
        _ip("link", "set", f"{_PREFIX}{number}r", "netns", _ROUTER)
        _ip("-n", namespace, "address", "add", f"{self.address[place]}/24", "dev", f"{_PREFIX}{number}")
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", namespace, "link", "set", f"{_PREFIX}{number}", "up")
        self._router_end(number, f"10.77.{number}.1")
        _ip("-n", namespace, "route", "add", "default", "via", f"10.77.{number}.1")

    def _router_end(self, number: int, address: str) -> None:
        _ip("-n", _ROUTER, "address", "add", f"{address}/24", "dev", f"{_PREFIX}{number}r")
        _ip("-n", _ROUTER, "link", "set", f"{_PREFIX}{number}r", "up")

    def cut(self, source: str, target: str) -> None:
        """Drop what goes from one place to another, this way only."""
        rule = ["from", self.address[source], "to", self.address[target], "blackhole"]
        _ip("-n", _ROUTER, "rule", "add", *rule)
        self._rules.append(rule)

    def heal(self) -> None:
        """Let everything pass."""
        while self._rules:
            _ip("-n", _ROUTER, "rule", "del", *self._rules.pop())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rules.clear()
        for namespace in (_ROUTER, *(f"{_PREFIX}-{place}" for place in self.address)):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", f"{_PREFIX}0"], check=False, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class PlacedMembers(EtcdMembers):
    """One etcd member in each place of a network."""

    def __init__(self, data_dir: Path, network: Network) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.members = [_PlacedMember(f"e{number}", data_dir, place, network) for number, place in _numbered(network)]
        cluster = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        for member in self.members:
            member.configure(cluster)


def _numbered(network: Network) -> list[tuple[int, str]]:
    return list(enumerate(network.address, 1))


class _PlacedMember(EtcdMember):
    def __init__(self, name: str, data_dir: Path, place: str, network: Network) -> None:
        super().__init__(name, data_dir, None)
        self._inside = network.inside(place)
        self.url = self.url.replace("127.0.0.1", network.address[place])
        self.peer_url = self.peer_url.replace("127.0.0.1", network.address[place])

    def configure(self, cluster: str, *options: str) -> None:
        super().configure(cluster, *options)
        self._command = [*self._inside, *self._command]
