"""Ports and directories of a cluster's parts; remembered, so that a restart finds the same."""

import socket
from collections.abc import Set
from pathlib import Path
from typing import Self

import msgspec

from hookline.clock import Clock
from hookline.errors import InvalidConfig

FILE = "stack.json"
# Below what Linux takes for outgoing connections, so that such a connection does not hold a port at a restart.
_PORTS = range(20_000, 32_000)
_NEAR = 200


class EtcdPorts(msgspec.Struct, frozen=True):
    """Of one member: for clients and for the other members."""

    client: int
    peer: int


class Layout(msgspec.Struct, frozen=True):
    """The content of ``stack.json``: ports by name, and a token that keeps members of other clusters out."""

    token: str
    nodes: dict[str, int]
    etcd: dict[str, EtcdPorts]

    @classmethod
    def load(
        cls, directory: Path, count: int, port: int, clock: Clock, taken: Set[int] = frozenset(), *, behind: int = 0
    ) -> Self:
        """The remembered layout, or a new one, written down.

        Args:
            directory: of the cluster; made when missing.
            count: of nodes, and of etcd members.
            port: of the first node; 0: the remembered one, else any that is free.
            clock: for the token and to choose ports.
            taken: ports that others on this machine were given and do not listen at yet.
            behind: new nodes take free ports behind this one, so that they are easily found; 0: any.

        Raises:
            InvalidConfig: the directory belongs to a single node, or its layout cannot be read.
        """
        directory.mkdir(parents=True, exist_ok=True)
        if (directory / "state.db").exists():
            raise InvalidConfig(
                f"{directory} holds the state of a single node; take another --data-dir, or move it: "
                "hookline backup, then hookline restore into the new nodes' directories",
                field="data_dir",
            )
        file = directory / FILE
        if file.exists():
            try:
                found = msgspec.json.decode(file.read_bytes(), type=cls)
            except msgspec.MsgspecError as error:
                raise InvalidConfig(f"{file} cannot be read: {error}", field="data_dir") from error
        else:
            found = cls._new(count, clock, taken, port or behind)
        first = next(iter(found.nodes))
        if port:
            found = cls(found.token, found.nodes | {first: port}, found.etcd)
        unfinished = file.with_suffix(".partial")
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        unfinished.rename(file)
        return found

    @classmethod
    def _new(cls, count: int, clock: Clock, taken: Set[int], behind: int) -> Self:
        nodes = free_ports(count, clock, taken, behind)
        ports = iter(free_ports(2 * count, clock, {*taken, *nodes}))
        numbers = range(1, count + 1)
        return cls(
            clock.token(8).hex(),
            {f"n{number}": port for number, port in zip(numbers, nodes, strict=True)},
            {f"etcd{number}": EtcdPorts(next(ports), next(ports)) for number in numbers},
        )

    def ports(self) -> set[int]:
        """All of them."""
        return {*self.nodes.values(), *(port for ports in self.etcd.values() for port in (ports.client, ports.peer))}

    def node_urls(self, scheme: str = "http") -> dict[str, str]:
        """Lists the nodes' urls, by name."""
        return {name: f"{scheme}://127.0.0.1:{port}" for name, port in self.nodes.items()}

    def etcd_urls(self) -> dict[str, str]:
        """Lists the urls at which the etcd members serve clients, by name."""
        return {name: f"http://127.0.0.1:{ports.client}" for name, ports in self.etcd.items()}


def free_ports(count: int, clock: Clock, taken: Set[int] = frozenset(), behind: int = 0) -> list[int]:
    """Ports that nobody listens at now.

    Behind ``behind``, as far as there are; else from anywhere in a range, so that two clusters rarely choose the same.
    """
    found: list[int] = []
    if count == 0:
        return found
    start = int(clock.random() * len(_PORTS))
    near = range(behind, min(behind + _NEAR, 65_536)) if behind else ()
    for port in (*near, *_PORTS[start:], *_PORTS[:start]):
        if port in taken or port in found:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise InvalidConfig(f"fewer than {count} ports are free from {_PORTS.start} to {_PORTS.stop - 1}")
