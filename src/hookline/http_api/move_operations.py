"""The calls about a change of the topology: what it would move, how far it is, and how it goes on."""

from hookline import errors as e
from hookline.http_api.operation import NO_BODY, Operation
from hookline.protocol import http_moves
from hookline.protocol.topology import Topology

_IN_CHANGE = (*NO_BODY, e.NothingMoves, e.EpochTaken, e.NotDecider, e.Misdirected)
_STATUS = "How far the change is."

MOVES: tuple[Operation, ...] = (
    Operation(
        name="getTopologyStatus",
        tag="Clusters",
        summary="Get how far a change of the topology is",
        description=(
            "Gathered from all clusters, also those that the change takes out. `unreachable` names those that do not "
            "answer, which the change waits for. It ends by itself when everything has moved; `state` is `stable` then."
        ),
        replies={200: (http_moves.TopologyStatus, _STATUS)},
    ),
    Operation(
        name="planTopology",
        tag="Clusters",
        summary="Foresee what a topology would move",
        description=(
            "Takes what `PUT /topology` takes, and changes nothing. Shares are those of a sample of 10,000 ids; jobs, "
            "schedules and bytes are counted by the clusters. `problems` has what applying it would be refused with."
        ),
        body=Topology,
        replies={200: (http_moves.TopologyPlan, "What it would move, and how long that takes.")},
        refusals=(e.InvalidTopology, e.PayloadTooLarge, e.UnsupportedMedia),
        example={
            "epoch": 2,
            "strategy": "ring",
            "cluster": [{"name": "c0", "shard": 0, "nodes": ["http://10.0.0.1:7070"]}],
        },
    ),
    Operation(
        name="pauseMove",
        tag="Clusters",
        summary="Pause a change of the topology",
        description="Nothing moves until it is resumed. What is half way arrives. It is a new epoch, as all of these.",
        replies={200: (http_moves.TopologyStatus, _STATUS)},
        refusals=_IN_CHANGE,
    ),
    Operation(
        name="resumeMove",
        tag="Clusters",
        summary="Resume a change of the topology, or change its rate",
        description="`rate`: jobs a second out of each cluster at most; null: as fast as deliveries leave room.",
        body=http_moves.MovePace,
        body_required=False,
        replies={200: (http_moves.TopologyStatus, _STATUS)},
        refusals=(*_IN_CHANGE, e.UnknownField),
        example={"rate": 500},
    ),
    Operation(
        name="abortMove",
        tag="Clusters",
        summary="Take a change of the topology back",
        description=(
            "All that has moved goes back, and nothing is lost. The way back can be paused as well; aborted once more, "
            "it leads to the new topology again."
        ),
        replies={200: (http_moves.TopologyStatus, _STATUS)},
        refusals=_IN_CHANGE,
    ),
    Operation(
        name="balanceTopology",
        tag="Clusters",
        summary="Propose weights from the load of the clusters",
        description=(
            "Measures for some seconds what each cluster does, and proposes weights for a `ring` by which all would do "
            "the same. Changes nothing: apply the `proposal` if you like it."
        ),
        query=("balance_seconds",),
        replies={200: (http_moves.TopologyBalance, "The load of each cluster, and the weights proposed.")},
    ),
)
