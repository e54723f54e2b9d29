"""Makes all checks of ``hookline doctor`` in their order; what needs something that is not there says so."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hookline.cli.doctor import machine, settings
from hookline.cli.doctor.asking import Asker, context_by
from hookline.cli.doctor.clocks import ProvenCalls, ask_clocks, dates_ahead
from hookline.cli.doctor.etcd_checks import HeardEtcd, etcd_findings, hear_etcd, no_etcd_findings
from hookline.cli.doctor.finding import Finding, unchecked
from hookline.cli.doctor.fleet import HeardFleet, hear_fleet
from hookline.cli.doctor.service_checks import clock_finding, service_findings
from hookline.cli.trust_options import tls_of
from hookline.client.trust import trust_of
from hookline.clock import Clock
from hookline.errors import HooklineError
from hookline.version import __version__

if TYPE_CHECKING:
    from hookline.cli.profiles import ServicePlace
    from hookline.node.config import NodeConfig
    from hookline.node.etcd.client import EtcdAddress
    from hookline.protocol.proofs import ProofKey
    from hookline.proxy.config import ProxyConfig
    from hookline.worker.config import WorkerConfig

    AnyConfig = NodeConfig | ProxyConfig | WorkerConfig

_GROUPS: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The subject of an examination.

    Attributes:
        kinds: whose settings.
        config: a file of them; ``flags``: others.
        place: of a running Hookline; ``is_named``: somebody said so; ``others``: more proxies and nodes of it.
        etcd: as it was given beside the settings; None: it was not.
        timeout_s: of each question.
    """

    kinds: Sequence[settings.ProcessKind]
    config: Path | None
    flags: Sequence[str]
    place: "ServicePlace"
    is_named: bool
    others: Sequence[str]
    etcd: "EtcdAddress | None"
    timeout_s: float
    clock: Clock


class Examination:
    """All checks of one subject."""

    def __init__(self, subject: Subject) -> None:
        self._of = subject
        self._clock = subject.clock
        flags = [*(() if subject.config is None else ("--config", str(subject.config))), *subject.flags]
        self._readings = settings.readings_of(subject.kinds, flags)
        starts = {name: reading.start for name, reading in self._readings.items() if reading.start is not None}
        self._configs: dict[str, AnyConfig] = {name: start.config for name, start in starts.items()}
        self._trust = trust_of(True, subject.place.ca_file, subject.place.cert, looks_around=True)
        self._asker = Asker(subject.place.key, context_by(self._trust), subject.timeout_s, self._clock)
        self._fleet = HeardFleet([], [])
        self._etcd: HeardEtcd | None = None
        self._etcd_asking: Asker | None = None  # who asked it
        self._proven = ProvenCalls({}, [], [])

    def findings(self) -> Iterator[Finding]:
        """One after the other, as they are made."""
        yield settings.attempted("config", self._config)
        yield settings.attempted("environment", self._environment)
        yield from machine.disk_findings(self._data_dir(), os.fdatasync, self._clock)
        yield from machine.limit_findings(_GROUPS)
        yield settings.attempted("time-sync", self._time_sync)
        yield settings.attempted("time-zones", self._time_zones)
        yield self._ports()
        self._fleet = hear_fleet(list(dict.fromkeys((self._of.place.url, *self._of.others))), self._asker)
        now_ms = self._clock.wall_ms()
        yield from service_findings(self._fleet, __version__, now_ms, is_named=self._of.is_named)
        yield from self._of_etcd()
        with suppress(ImportError, HooklineError):  # what is wrong with the key is told by its check
            self._proven = self._ask_by_proof()
        yield self._clocks()
        yield settings.attempted("secret-key", self._secret_key)
        yield settings.attempted("certificates", self._certificates)

    # --- settings and machine ------------------------------------------------------------------------------------

    def _config(self) -> Finding:
        from hookline.cli.config_warnings import warnings_of

        warnings = [text for reading in self._readings.values() for text in warnings_of(reading)]
        return settings.config_finding(self._readings, warnings)

    def _environment(self) -> Finding:
        return settings.environment_finding(os.environ, settings.known_variables())

    def _node(self) -> "NodeConfig | None":
        from hookline.node.config import NodeConfig

        found = self._configs.get("node")
        return found if isinstance(found, NodeConfig) else None

    def _data_dir(self) -> Path | None:
        reading = self._readings.get("node")
        given = [one for one in reading.settings if one.name == "data-dir" and one.tokens] if reading else []
        return Path(given[0].tokens[0].value) if given else None

    def _time_sync(self) -> Finding:
        from hookline.node.clocks.kernel import kernel_agrees

        return machine.sync_finding(kernel_agrees(self._clock.wall_ms()) if os.path.isdir("/proc") else None)

    def _time_zones(self) -> Finding:
        if find_spec("apsw") is None:
            return unchecked("time-zones", "the server is not installed here, which is what needs them")
        try:
            version = str(import_module("tzdata").IANA_VERSION)
        except ImportError:
            return machine.zone_finding(None, 0)
        return machine.zone_finding(version, self._clock.wall_ms())

    def _ports(self) -> Finding:
        places, scheme = [], "http"
        for config in self._configs.values():
            scheme = config.tls.scheme
            places += list(getattr(config, "places", ((config.host, config.port),)))
        return machine.port_findings([place for place in places if place[1]], self._asker, scheme)

    # --- what runs -------------------------------------------------------------------------------------------------

    def _of_etcd(self) -> Iterator[Finding]:
        address = self._of.etcd or self._etcd_of_node()
        if address is None:
            yield from no_etcd_findings("no etcd is named; say where it is with --etcd")
            return
        node = self._node()
        try:
            self._etcd_asking = self._etcd_asker(address)
            self._etcd = hear_etcd(address, self._etcd_asking, self._of.timeout_s)
        except ImportError as error:
            yield from no_etcd_findings(f"it needs {error.name}: pip install 'hookline[server]'")
            return
        yield from etcd_findings(self._etcd, None if node is None else node.etcd_quota_bytes)

    def _etcd_of_node(self) -> "EtcdAddress | None":
        node = self._node()
        if node is None or not node.etcd:
            return None
        from hookline.node.membership.joining import address_of

        return address_of(node)

    def _etcd_asker(self, address: "EtcdAddress") -> Asker:
        pair = None if address.cert_file is None or address.key_file is None else (address.cert_file, address.key_file)
        trust = trust_of(True, address.ca_file, pair, looks_around=False)
        return Asker(None, context_by(trust), self._of.timeout_s, self._clock)

    def _ask_by_proof(self) -> ProvenCalls:
        key = self._proof_key()
        urls = [one.url for one in self._fleet.nodes if one.health is not None]
        if key is None or not urls:
            return ProvenCalls({}, [], [])
        tls = tls_of(self._of.place.ca_file, self._of.place.cert)
        return ask_clocks(urls, key, tls, self._clock, self._of.timeout_s)

    def _proof_key(self) -> "ProofKey | None":
        """One that the nodes have: it follows from the root key, or else from the secret key."""
        from hookline.node.config import DeliveryConfig, NodeConfig
        from hookline.node.vault import DEFAULT_FILE, Vault
        from hookline.protocol.proofs import proof_key

        for config in self._configs.values():
            root_key = getattr(config, "root_key", None)
            if root_key is not None:
                return proof_key(root_key.encode())
            if isinstance(config, DeliveryConfig):
                file = config.secret_key_file
                if file is None and config.secret_key is None and isinstance(config, NodeConfig):
                    file = config.data_dir / DEFAULT_FILE
                    if config.etcd or not file.exists():
                        continue  # it is in etcd, or not made yet
                return Vault.of(file, config.secret_key).proof_keys[0]
        return None

    def _clocks(self) -> Finding:
        members = [] if self._etcd is None else self._etcd.endpoints
        ahead_ms = dates_ahead(self._fleet, members, self._etcd_asking or self._asker) | self._proven.ahead_ms
        return clock_finding(self._fleet, ahead_ms)

    def _secret_key(self) -> Finding:
        config = self._configs.get("node") or self._configs.get("worker")
        return settings.secret_key_finding(config, self._proven.refusing, self._proven.agreeing)

    def _certificates(self) -> Finding:
        files: dict[str, Path] = {}
        for config in self._configs.values():
            files |= {name: path for name, path in config.tls.named().items() if not name.endswith("key")}
        node = self._node()
        if node is not None:
            given = {"--etcd-ca": node.etcd_ca, "--etcd-cert": node.etcd_cert}
            files |= {name: path for name, path in given.items() if path is not None}
        place = self._of.place
        given = {"--ca-file": place.ca_file, "--client-cert": None if place.cert is None else place.cert[0]}
        files |= {name: path for name, path in given.items() if path is not None}
        urls = [one.url for one in self._fleet.processes]
        if not urls:
            urls = [self._of.place.url]
        try:
            return settings.certificates_finding(files, urls, self._asker, self._clock.wall_ms() / 1_000)
        except ImportError as error:
            return unchecked("certificates", f"it needs {error.name}: pip install 'hookline[cli]'")
