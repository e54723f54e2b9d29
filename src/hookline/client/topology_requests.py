"""The calls about the topology, as ``requests`` has all others: they go to a proxy. Pure."""

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from hookline.client.requests import Request, calling
from hookline.protocol import http, http_moves
from hookline.protocol.ids import check_id

if TYPE_CHECKING:
    from hookline.protocol.topology import Topology


def topology() -> "Request[Topology]":
    """``GET /topology``."""
    from hookline.protocol.topology import Topology  # noqa: PLC0415  # with TOML and hashes, which few calls need

    return calling("getTopology", Topology)


def apply_topology(new: "Topology", *, force: bool = False) -> Request[http.TopologyApplied]:
    """``PUT /topology``. Applying the same again is fine."""
    from hookline.protocol.topology import encode_topology  # noqa: PLC0415  # as above

    return calling(
        "putTopology", http.TopologyApplied, query={"force": "true" if force else None}, body=encode_topology(new)
    )


def plan_topology(new: "Topology") -> Request[http_moves.TopologyPlan]:
    """``POST /topology/plan``."""
    from hookline.protocol.topology import encode_topology  # noqa: PLC0415  # as above

    return calling("planTopology", http_moves.TopologyPlan, body=encode_topology(new))


def topology_status() -> Request[http_moves.TopologyStatus]:
    """``GET /topology/status``."""
    return calling("getTopologyStatus", http_moves.TopologyStatus)


def pause_move() -> Request[http_moves.TopologyStatus]:
    """``POST /topology/pause``."""
    return calling("pauseMove", http_moves.TopologyStatus)


def resume_move(rate: int | UnsetType | None = UNSET) -> Request[http_moves.TopologyStatus]:
    """``POST /topology/resume``; without a rate the one of before stays."""
    body = msgspec.json.encode(http_moves.MovePace(rate))
    return calling("resumeMove", http_moves.TopologyStatus, body=body)


def abort_move() -> Request[http_moves.TopologyStatus]:
    """``POST /topology/abort``. Twice is not once: it is not sent again."""
    return calling("abortMove", http_moves.TopologyStatus)


def balance_topology(seconds: int | None = None) -> Request[http_moves.TopologyBalance]:
    """``GET /topology/balance``."""
    return calling("balanceTopology", http_moves.TopologyBalance, query={"seconds": seconds})


def route(job_id: str) -> Request[http.Route]:
    """``GET /topology/route?id=``."""
    return calling("getRoute", http.Route, query={"id": check_id(job_id)})
