"""Checks what the processes of this machine are to start with: file, environment, keys, certificates."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from hookline.cli.doctor.asking import Asker, NotHeard
from hookline.cli.doctor.finding import Ailment, Finding, judged, unchecked
from hookline.errors import HooklineError, InvalidConfig
from hookline.visible import without_password

if TYPE_CHECKING:
    from hookline.cli.settings_reading import SettingsReading
    from hookline.node.config import NodeConfig
    from hookline.proxy.config import ProxyConfig
    from hookline.worker.config import WorkerConfig

ProcessKind = Literal["node", "proxy", "worker"]

PREFIX: Final = "HOOKLINE_"
OTHER_NAMES: Final = (  # of commands, and those that no option has
    "API_KEY",
    "API_KEY_FILE",
    "CA_FILE",
    "CLIENT_CERT",
    "CLIENT_KEY",
    "HTTP_TIMEOUT",
    "JOB_SECRET",
    "LISTEN_SECRET",
    "PROFILE",
    "PROFILES",
    "ROOT_KEY",
    "TENANT",
    "TRACEBACK",
    "URL",
)
_BY_KUBERNETES: Final = re.compile(r"HOOKLINE_(SERVICE_|PORT$|PORT_\d|[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT|PORT_\d))")
_NAMED_BY: Final[tuple[tuple[str, ProcessKind], ...]] = (
    ("HOOKLINE_DATA_DIR", "node"),
    ("HOOKLINE_TOPOLOGY", "proxy"),
    ("HOOKLINE_CLUSTER_URLS", "worker"),
)
_DAY_S: Final = 86_400
_ENDS_SOON_S: Final = 14 * _DAY_S
_KEYS: Final = "docs/how-to/hide-and-encrypt-payloads.md"
_TLS: Final = "docs/how-to/tls.md"


def config_finding(readings: "Mapping[str, SettingsReading]", warnings: Sequence[str]) -> Finding:
    """Do the settings hold? ``readings``: by whose they are."""
    if not readings:
        return unchecked("config", "no settings are named; say which with --config FILE, or: hookline doctor node")
    fix = "Correct it; hookline config show tells each setting and its origin"
    troubles = [Ailment(text, fix) for reading in readings.values() for text in reading.problems]
    troubles += [Ailment(text, "Correct the file; hookline topology validate FILE") for text in _topologies(readings)]
    troubles += [Ailment(text, "Look whether it is meant so", is_wrong=False) for text in warnings]
    return judged("config", f"the settings of {', '.join(readings)} are in order", troubles)


def _topologies(readings: "Mapping[str, SettingsReading]") -> Iterator[str]:
    """The reasons why proxies cannot start with their topology files."""
    from hookline.proxy.config import ProxyConfig, read_topology_file

    for reading in readings.values():
        config = None if reading.start is None else reading.start.config
        if isinstance(config, ProxyConfig) and config.topology is not None:
            try:
                read_topology_file(config.topology)
            except HooklineError as error:
                yield error.detail


def environment_finding(environment: Iterable[str], known: Iterable[str]) -> Finding:
    """Does each variable whose name begins with HOOKLINE_ mean something?

    Args:
        environment: names of variables.
        known: of these, what options take.
    """
    all_known = {*known, *(PREFIX + name for name in OTHER_NAMES)}
    found = sorted(name for name in environment if name.startswith(PREFIX) and not _BY_KUBERNETES.match(name))
    troubles = []
    for name in found:
        if name not in all_known:
            near = get_close_matches(name, all_known, 1, cutoff=0.85)
            fix = f"Did you mean {near[0]}?" if near else "Take it away; hookline serve --help lists all there are"
            troubles.append(Ailment(f"nothing reads the variable {name}", fix, is_wrong=bool(near)))
    return judged("environment", f"{len(found)} variables are set, and all are known", troubles)


def secret_key_finding(
    config: "NodeConfig | ProxyConfig | WorkerConfig | None", refusing: Sequence[str], agreeing: Sequence[str]
) -> Finding:
    """Is the key that seals secrets there, for nobody else to read, and the same everywhere?

    Args:
        config: of a node or worker.
        refusing: urls of processes that did not take a proof by the key of this machine.
        agreeing: urls of those that did.
    """
    name = "secret-key"
    from hookline.node.config import DeliveryConfig, NodeConfig
    from hookline.node.vault import DEFAULT_FILE

    if not isinstance(config, DeliveryConfig):
        return unchecked(name, "no settings of a node are named; say which with --config FILE")
    file = config.secret_key_file
    if file is None and config.secret_key is None and isinstance(config, NodeConfig) and not config.etcd:
        file = config.data_dir / DEFAULT_FILE
        if not file.exists():
            return judged(name, f"the node makes one in {file} when it starts; keep a copy elsewhere", [])
    if file is None and config.secret_key is None:
        text = "the nodes keep the secret key in etcd, since none is given: whoever reads etcd can open the secrets"
        return judged(name, "", [Ailment(text, f"Give all nodes one with --secret-key-file; see {_KEYS}", False)])
    troubles = list(_key_troubles(file, config.secret_key))
    for url in refusing:
        text = f"{url} has another root key or secret key than this machine"
        troubles.append(Ailment(text, "Give all processes the same root key and the same secret keys"))
    whose = f", and {', '.join(agreeing)} {'has' if len(agreeing) == 1 else 'have'} the same" if agreeing else ""
    return judged(name, f"{file or 'HOOKLINE_SECRET_KEY'} holds it{whose}", troubles)


def _key_troubles(file: Path | None, text: str | None) -> Iterator[Ailment]:
    from hookline.node.vault import Vault

    try:
        Vault.of(file, text)
    except InvalidConfig as error:
        yield Ailment(error.detail, f"Correct it, and keep a copy of the key elsewhere; see {_KEYS}")


def certificates_finding(files: Mapping[str, Path], urls: Iterable[str], asker: Asker, now_s: float) -> Finding:
    """Until when do the certificates hold, in files and as they are shown?

    Args:
        files: by the option that names them.
        urls: of processes; what is not https is passed over.
        asker: looks at what they show.
        now_s: seconds since 1970.
    """
    from cryptography import x509

    ends: list[tuple[str, float]] = []
    troubles = []
    for option, file in files.items():
        try:
            found = x509.load_pem_x509_certificates(file.read_bytes())
            ends += [(f"{file} ({option})", one.not_valid_after_utc.timestamp()) for one in found]
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not a PEM file with a certificate"
            troubles.append(Ailment(f"{file} ({option}) cannot be read: {why}", f"Correct {option}; see {_TLS}"))
    for url in urls:
        if url.startswith("https://"):
            try:
                shown = x509.load_der_x509_certificate(asker.certificate_of(url))
            except NotHeard:
                continue  # that it does not answer is told elsewhere
            ends.append((f"what {without_password(url)} shows", shown.not_valid_after_utc.timestamp()))
    if not ends and not troubles:
        return unchecked("certificates", "there is no TLS here")
    troubles += [trouble for who, end_s in ends if (trouble := _ending(who, end_s, now_s)) is not None]
    first = min((end_s for _, end_s in ends), default=now_s)
    fine = f"{len(ends)} certificates, of which the first ends in {(first - now_s) / _DAY_S:,.0f} days"
    return judged("certificates", fine, troubles)


def _ending(who: str, end_s: float, now_s: float) -> Ailment | None:
    left_s = end_s - now_s
    fix = f"Put a new one into its place, which is read without a restart: hookline certs issue; see {_TLS}"
    if left_s <= 0:
        return Ailment(f"the certificate in {who} has ended {-left_s / _DAY_S:,.1f} days ago", fix)
    if left_s < _ENDS_SOON_S:
        return Ailment(f"the certificate in {who} ends in {left_s / _DAY_S:,.1f} days", fix)
    return None


def readings_of(names: Iterable[ProcessKind], flags: Sequence[str]) -> "dict[str, SettingsReading]":
    """The settings of a node, a proxy, a worker, by their commands' names."""
    from hookline.cli.settings_reading import SettingsReading

    commands = {"node": "serve", "proxy": "proxy", "worker": "worker"}
    return {name: SettingsReading(commands[name], flags) for name in names}


def known_variables() -> set[str]:
    """The variables that options of processes take."""
    from hookline.cli.settings_reading import described

    found: set[str] = set()
    for command in ("serve", "up", "proxy", "worker"):
        for argument in described(command).values():
            found.update(argument.parameter.env_var or ())
    return found


def named_processes(file: Path | None, environment: Mapping[str, str] = os.environ) -> list[ProcessKind]:
    """The processes whose settings there are: by the tables of a file, else by the environment."""
    if file is None:
        return [kind for variable, kind in _NAMED_BY if environment.get(variable)]
    from hookline.cli.config_file import read_settings

    try:
        tables = {setting.table for setting in read_settings(file)[0]}
    except HooklineError:
        return ["node"]  # what is wrong with the file is told by whoever reads it next
    found = [kind for _, kind in _NAMED_BY if kind in tables or (kind == "node" and "cluster" in tables)]
    return found or ["node"]


def attempted(name: str, check: Callable[[], Finding]) -> Finding:
    """The finding of a check; one that needs a part of the server which is not installed was not made."""
    try:
        return check()
    except ImportError as error:
        return unchecked(name, f"it needs {error.name}, a part of the server: pip install 'hookline[server]'")
