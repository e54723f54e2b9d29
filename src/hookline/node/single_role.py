"""The role of a node that is its whole cluster."""

from hookline.node.cluster_history import position_of
from hookline.node.config import NodeConfig
from hookline.node.identity import Position
from hookline.node.member import Member
from hookline.protocol.http import NodeView
from hookline.version import __version__


class SingleRole:
    """Answers the API's questions (``api.services.Role``) for a single node: it leads whenever it serves."""

    def __init__(self, config: NodeConfig, member: Member) -> None:
        self._config = config
        self._member = member

    def is_leading(self) -> bool:
        return self._member.is_leading

    def leader_url(self) -> str | None:
        return None

    def leader_name(self) -> str | None:
        return self._config.node

    def nodes(self) -> list[NodeView]:
        replica, config = self._member.replica, self._config
        return [NodeView(config.node, config.url, "leader", replica.applied, replica.durable, __version__)]

    def position(self) -> Position:
        return position_of(self._member.replica.machine, self._config.node)

    def halted(self) -> str | None:
        return None

    def hand_over(self) -> bool:
        return False

    def pressure(self) -> float:
        return 0.0
