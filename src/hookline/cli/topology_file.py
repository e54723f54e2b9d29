"""Reads topologies from files, and writes them."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from cyclopts import CycloptsError
from msgspec import UNSET
from msgspec.structs import replace

from hookline.cli import inputs
from hookline.errors import InvalidConfig
from hookline.protocol.topology import Topology, parse_topology_file


class TopologyFile:
    """A file, or stdin (``-``), as it was read. Raises InvalidConfig."""

    def __init__(self, file: Path) -> None:
        try:
            self._text = inputs.read_file(str(file)).decode()
        except CycloptsError as error:
            raise InvalidConfig(str(error), field="file") from error
        except UnicodeDecodeError as error:
            raise InvalidConfig(f"{file} cannot be read: it is not UTF-8", field="file") from error

    @property
    def has_epoch(self) -> bool:
        """Does it say its epoch? Without, it is the one after that in force."""
        try:
            return "epoch" in tomllib.loads(self._text)
        except tomllib.TOMLDecodeError:
            return True  # which parsing refuses

    def parse(self, epoch: int = 1) -> Topology:
        """The topology; with that epoch if it does not say one. Raises InvalidTopology."""
        return parse_topology_file(self._text, epoch=epoch)


def identified(topology: Topology, ids: Mapping[str, str | None]) -> Topology:
    """With the ids of the clusters that have none and whose id is known, by name."""
    clusters = (
        replace(entry, id=ids.get(entry.name) or UNSET) if entry.id is UNSET else entry for entry in topology.clusters
    )
    return replace(topology, clusters=tuple(clusters))


def text_of(topology: Topology) -> str:
    """The clusters as a file, without an epoch. Strings and numbers are written as in JSON."""
    lines = [f"strategy = {json.dumps(topology.strategy)}"]
    for entry in topology.clusters:
        lines += ["", "[[cluster]]", f"name = {json.dumps(entry.name)}", f"shard = {entry.shard}"]
        lines += [f"weight = {entry.weight}"] if entry.weight != 1 else []
        lines += [f"id = {json.dumps(entry.id)}"] if entry.id is not UNSET else []
        lines.append(f"nodes = {json.dumps(list(entry.nodes))}")
    return "\n".join(lines) + "\n"
