"""The first message to a front: what it works by.

It is pickled: both ends are one release, of one parent, over a socket that nobody else can reach.
"""

import pickle
from dataclasses import dataclass, replace

from hookline.node.config import NodeConfig
from hookline.protocol.proofs import ProofKey
from hookline.telemetry.log_events import LogArea, LogLevel
from hookline.telemetry.tracing.settings import NO_TRACES, TraceSettings

_UNTOLD = "-"


@dataclass(frozen=True, slots=True)
class FrontSetup:
    """A front's.

    Attributes:
        config: the node's, without its secrets.
        hosts: names that the node is called by, beside those of the loopback address.
        roots: hashes of the root keys; empty: nobody is asked for a key.
        logs_as_json, log_levels: as the node writes its logs.
        proof_keys: by which proxies and nodes prove what they are; the secrets that these follow from are not told.
        traces: as the node sends them.
    """

    config: NodeConfig
    hosts: tuple[str, ...]
    logs_as_json: bool
    log_levels: dict[LogArea, LogLevel]
    roots: tuple[bytes, ...] = ()
    proof_keys: tuple[ProofKey, ...] = ()
    traces: TraceSettings = NO_TRACES


def without_secrets(config: NodeConfig) -> NodeConfig:
    """For a process that strangers talk to: it learns whether the node signs all jobs, and not with which secret."""
    signing = None if config.signing_secret is None else _UNTOLD
    return replace(
        config.without_root_key(), signing_secret=signing, secret_key=None, secret_key_file=None, etcd_password=None
    )


def encode_setup(setup: FrontSetup) -> bytes:
    """As the first message."""
    return pickle.dumps(setup)


def decode_setup(message: bytes) -> FrontSetup:
    """The inverse."""
    setup = pickle.loads(message)  # noqa: S301 - from our own parent, see above
    assert isinstance(setup, FrontSetup)
    return setup
