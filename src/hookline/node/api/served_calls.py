"""The rows of a node's calls, and the headers of its answers: by its settings, and the same in all its processes."""

import msgspec

from hookline.http_api.messages import HeaderPair
from hookline.node.config import NodeConfig
from hookline.protocol.calls import Call, calls_of


def identity_of(config: NodeConfig) -> list[HeaderPair]:
    """The headers that every answer of a node carries."""
    return [(b"hookline-cluster", config.cluster.encode()), (b"hookline-node", config.node.encode())]


def limited_calls(config: NodeConfig) -> list[Call]:
    """The rows of a node's calls, with the limits that its operator set."""
    largest = config.job_bytes_max
    return [
        msgspec.structs.replace(call, body_bytes_max=largest) if call.carries_job else call for call in calls_of("node")
    ]
