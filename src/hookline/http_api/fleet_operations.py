"""The calls that only a proxy has: its clusters, and the topology it routes by."""

from typing import Any

from hookline import errors as e
from hookline.http_api.move_operations import MOVES
from hookline.http_api.operation import NO_BODY, Operation
from hookline.protocol import http
from hookline.protocol.topology import Topology

FLEET: tuple[Operation, ...] = (
    Operation(
        name="listClusters",
        tag="Clusters",
        summary="List the clusters",
        replies={200: (http.ClusterList, "Those that can be reached; `incomplete` names the others.")},
    ),
    Operation(
        name="getOneCluster",
        tag="Clusters",
        summary="Get one of the clusters",
        replies={200: (http.Cluster, "The cluster and its nodes.")},
        refusals=(e.ClusterNotFound,),
    ),
    Operation(
        name="changeOneCluster",
        tag="Clusters",
        summary="Choose the execution mode of one of the clusters",
        description="As `PATCH /cluster`.",
        body=http.ClusterChange,
        replies={200: (http.Cluster, "The cluster as it is now.")},
        refusals=(e.ClusterNotFound, e.InvalidJson, e.UnknownField, e.PayloadTooLarge, e.UnsupportedMedia),
        example={"mode": "hybrid"},
    ),
    Operation(
        name="handOneOver",
        tag="Clusters",
        summary="Hand the lead of one of the clusters over",
        replies={202: (dict[str, Any], "Another node is about to lead.")},
        refusals=(*NO_BODY, e.ClusterNotFound, e.Conflict),
    ),
    Operation(
        name="getTopology",
        tag="Clusters",
        summary="Get the topology",
        replies={200: (Topology, "What the proxy routes by.")},
    ),
    Operation(
        name="putTopology",
        tag="Clusters",
        summary="Replace the topology",
        description=(
            "Its epoch is the next one. With `Content-Type: application/toml` the file itself is taken. The present "
            "cluster with the smallest shard decides between two who do it at once; then all get it. Where ids get "
            "another home, the proxy adds `previous` and says so in `notes`: jobs and schedules move, and the change "
            "ends by itself when all have moved. Meanwhile only its way back and other urls of nodes are taken, and "
            "its end once nothing is left. `force=true` takes what these rules refuse: ids may be made twice then."
        ),
        body=Topology,
        replies={200: (http.TopologyApplied, "Applied; for each cluster whether it has it already.")},
        query=("force",),
        refusals=(
            e.InvalidTopology,
            e.EpochTaken,
            e.ChangeOpen,
            e.MoveOpen,
            e.NotDecider,
            e.Misdirected,
            e.PayloadTooLarge,
            e.UnsupportedMedia,
        ),
        example={
            "epoch": 2,
            "strategy": "ring",
            "cluster": [{"name": "c0", "shard": 0, "nodes": ["http://10.0.0.1:7070"]}],
        },
    ),
    *MOVES,
    Operation(
        name="getRoute",
        tag="Clusters",
        summary="Explain where an id or a key goes",
        description="Give either `id` or `key`.",
        query=("route_id", "route_key"),
        replies={200: (http.Route, "Its home, and the steps of the decision.")},
        refusals=(e.InvalidId,),
    ),
)
