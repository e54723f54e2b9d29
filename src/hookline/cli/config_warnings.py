"""Warns of settings that are allowed and fit badly: pure but for a look at the files that hold secrets."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hookline.cli.settings_reading import GivenSetting, SettingsReading
from hookline.http_api.access import is_loopback
from hookline.node.config import DeliveryConfig, NodeConfig
from hookline.proxy.config import ProxyConfig

_OTHERS = 0o007


def warnings_of(reading: SettingsReading) -> Iterator[str]:
    """A sentence each."""
    for setting in reading.settings:
        yield from _of_file(setting)
    if reading.start is None:
        return
    config = reading.start.config
    if isinstance(config, NodeConfig | ProxyConfig) and config.no_auth and not is_loopback(config.host):
        yield (
            f"it listens at {config.host} and asks nobody for a key (no-auth); whoever reaches the port can make, read "
            "and cancel jobs"
        )
    if isinstance(config, DeliveryConfig) and config.allow_private_destinations:
        yield (
            "allow-private-destinations is on: whoever can create jobs reaches every address that this machine "
            "reaches; name your networks in allow-destinations instead"
        )
    if isinstance(config, NodeConfig):
        yield from _of_node(config)


def _of_node(config: NodeConfig) -> Iterator[str]:
    if config.retention_dead_ms < config.retention_ms:
        yield "retention-dead is shorter than retention: jobs that need somebody are forgotten before those that do not"
    if config.etcd and config.secret_key is None and config.secret_key_file is None:
        yield (
            "neither secret-key-file nor secret-key is given: the nodes keep the key that seals secrets in etcd, and "
            "whoever reads etcd can open them"
        )
    hosts = {urlsplit(url).hostname or "" for url in config.etcd if url.startswith("http:")}
    if far := sorted(host for host in hosts if not is_loopback(host)):
        yield f"etcd at {', '.join(far)} is called without TLS: whoever is on the way can read and change the log"


def _of_file(setting: GivenSetting) -> Iterator[str]:
    if not setting.tokens or not setting.name.endswith(("-key", "-key-file")):
        return
    file = Path(setting.tokens[0].value)
    try:
        is_open = file.is_file() and bool(file.stat().st_mode & _OTHERS)
    except OSError:
        return
    if is_open:
        yield f"everybody on this machine may read {file} ({setting.name}); chmod 600 {file}"
