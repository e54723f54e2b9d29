"""The settings of whoever makes attempts, a node or a worker, as options and environment variables."""

from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Group, Parameter

from hookline.cli import inputs
from hookline.cli.parameters import CommaTexts, DurationText, Flag, Hosts, NamedPath, Ports, Secret


def setting(name: str) -> Parameter:
    """A setting with its environment variable, ``HOOKLINE_`` and ``name``."""
    return Parameter(env_var=f"HOOKLINE_{name}")


@Parameter(name="*", group=Group("Settings"))
@dataclass(frozen=True, kw_only=True)
class DestinationOptions:
    """The places that attempts may go to, the secrets that sign them, and how long their end may take.

    Attributes:
        allow_private_destinations: Allow all private addresses and all ports; only for laptops and tests.
        allow_destinations: Private networks and names that may be called, at all ports: 10.2.0.0/16,*.svc.cluster.local
        deny_destinations: Networks and names that may not be called, whatever else is allowed.
        destination_ports: Ports that may be called, separated by commas. [80,443,8000,8080,8443]
        egress_proxy: An HTTP proxy that all calls to receivers go through, such as http://proxy.internal:3128.
        signing_secret: Sign all jobs with this whsec_ or whsk_ secret, if they and their destination have none.
        secret_key: The key that seals stored secrets; that of a worker is the nodes'.
        secret_key_file: A file that holds this key.
        allow_hosts: Names in requests' Host that it answers to at a loopback address, separated by commas.
        shutdown_grace: How long running attempts may take to end at shutdown, up to 24h. [10s]
    """

    allow_private_destinations: Annotated[Flag, setting("ALLOW_PRIVATE_DESTINATIONS")] = False
    allow_destinations: Annotated[CommaTexts | None, setting("ALLOW_DESTINATIONS")] = None
    deny_destinations: Annotated[CommaTexts | None, setting("DENY_DESTINATIONS")] = None
    destination_ports: Annotated[Ports | None, setting("DESTINATION_PORTS")] = None
    egress_proxy: Annotated[Secret | None, setting("EGRESS_PROXY")] = None
    signing_secret: Annotated[Secret | None, setting("SIGNING_SECRET")] = None
    secret_key: Annotated[Secret | None, setting("SECRET_KEY")] = None
    secret_key_file: Annotated[NamedPath | None, setting("SECRET_KEY_FILE")] = None
    allow_hosts: Annotated[Hosts | None, setting("ALLOW_HOSTS")] = None
    shutdown_grace: Annotated[DurationText | None, setting("SHUTDOWN_GRACE")] = None

    def delivery(self) -> dict[str, Any]:
        """Those that were given, as fields of ``DeliveryConfig``. Raises InvalidConfig."""
        from hookline.http_client.tunnel import TunnelProxy
        from hookline.protocol.destination_patterns import parse_patterns

        return inputs.given(
            allow_private_destinations=self.allow_private_destinations,
            allow_destinations=parse_patterns(self.allow_destinations or "", "allow-destinations"),
            deny_destinations=parse_patterns(self.deny_destinations or "", "deny-destinations"),
            destination_ports=None if self.destination_ports is None else inputs.ports(self.destination_ports),
            egress_proxy=None if self.egress_proxy is None else TunnelProxy.parse(self.egress_proxy, "egress-proxy"),
            signing_secret=self.signing_secret,
            secret_key=self.secret_key,
            secret_key_file=self.secret_key_file,
            allow_hosts=None if self.allow_hosts is None else inputs.host_names(self.allow_hosts),
            shutdown_grace_ms=None if self.shutdown_grace is None else inputs.duration_ms(self.shutdown_grace),
        )


DEFAULT_DESTINATION_OPTIONS = DestinationOptions()
