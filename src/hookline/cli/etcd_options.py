"""Options and environment variables by which a node reaches etcd and its fellow nodes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from cyclopts import Group, Parameter

from hookline.cli import inputs
from hookline.cli.parameters import CommaTexts, Flag, NamedPath, Secret
from hookline.errors import InvalidConfig
from hookline.visible import without_password

if TYPE_CHECKING:
    from hookline.node.etcd.client import EtcdAddress

_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - what a node may listen at, and what others cannot call


def _env(name: str) -> Parameter:
    return Parameter(env_var=f"HOOKLINE_{name}")


@Parameter(name="*", group=Group("Cluster"))
@dataclass(frozen=True, kw_only=True)
class EtcdAddressOptions:
    """The way to etcd, and the means to get in.

    Attributes:
        etcd: URLs of the etcd members, separated by commas.
        etcd_ca: PEM file of the authority that signed the members' certificates, for https URLs.
        etcd_cert: PEM file of this node's certificate, if the members ask for one.
        etcd_key: PEM file of its key.
        etcd_user: User name at etcd.
        etcd_password: Its password; better given as HOOKLINE_ETCD_PASSWORD.
    """

    etcd: Annotated[CommaTexts | None, _env("ETCD")] = None
    etcd_ca: Annotated[NamedPath | None, _env("ETCD_CA")] = None
    etcd_cert: Annotated[NamedPath | None, _env("ETCD_CERT")] = None
    etcd_key: Annotated[NamedPath | None, _env("ETCD_KEY")] = None
    etcd_user: Annotated[str | None, _env("ETCD_USER")] = None
    etcd_password: Annotated[Secret | None, _env("ETCD_PASSWORD")] = None

    def address(self) -> "EtcdAddress":
        """For a client. Raises InvalidConfig."""
        from hookline.node.etcd.client import EtcdAddress

        if self.etcd is None:
            raise InvalidConfig("say with --etcd where the members of etcd are", field="etcd")
        self._check()
        urls = tuple(_member_url(text) for text in self.etcd.split(","))
        return EtcdAddress(urls, self.etcd_ca, self.etcd_cert, self.etcd_key, self.etcd_user, self.etcd_password)

    def _check(self) -> None:
        if (self.etcd_cert is None) != (self.etcd_key is None):
            raise InvalidConfig("--etcd-cert and --etcd-key belong together; give both", field="etcd_cert")
        if (self.etcd_user is None) != (self.etcd_password is None):
            raise InvalidConfig("--etcd-user and HOOKLINE_ETCD_PASSWORD belong together; give both", field="etcd_user")
        for name in ("etcd_ca", "etcd_cert", "etcd_key"):
            file: Path | None = getattr(self, name)
            if file is not None and not file.is_file():
                raise InvalidConfig(f"--{name.replace('_', '-')}: there is no file {file}", field=name)


@Parameter(name="*", group=Group("Cluster"))
@dataclass(frozen=True, kw_only=True)
class EtcdOptions(EtcdAddressOptions):
    """A cluster of several nodes: its log is in etcd. Without --etcd the node is alone.

    Attributes:
        etcd_quota: Bytes that etcd's --quota-backend-bytes allows. [2147483648]
        advertise: URL at which the other nodes reach this one. [http(s)://HOST:PORT of --listen-internal, or --listen]
        new_cluster: The cluster is new: begin its log if etcd has none. Only for the very first start.
    """

    etcd_quota: Annotated[int | None, _env("ETCD_QUOTA")] = None
    advertise: Annotated[str | None, _env("ADVERTISE")] = None
    new_cluster: Flag = False

    def settings(self, host: str, port: int, scheme: str = "http") -> dict[str, Any]:
        """Gives the ``NodeConfig`` settings of a node that listens at ``host`` and ``port``. Raises InvalidConfig."""
        if self.etcd is None:
            self._refuse_without_etcd()
            return {}
        urls = tuple(_member_url(text) for text in self.etcd.split(","))
        if len({url.split(":", 1)[0] for url in urls}) > 1:
            raise InvalidConfig("--etcd mixes http and https; use one of them for all members", field="etcd")
        self._check()
        return inputs.given(
            etcd=urls,
            etcd_ca=self.etcd_ca,
            etcd_cert=self.etcd_cert,
            etcd_key=self.etcd_key,
            etcd_user=self.etcd_user,
            etcd_password=self.etcd_password,
            etcd_quota_bytes=self.etcd_quota,
            advertise=self._advertised(host, port, scheme),
            new_cluster=self.new_cluster or None,
        )

    def _advertised(self, host: str, port: int, scheme: str) -> str | None:
        if self.advertise is not None:
            if scheme == "https" and not self.advertise.startswith("https://"):
                raise InvalidConfig(
                    "with --tls-cert the node speaks TLS; --advertise has to begin with https://", field="advertise"
                )
            return _url(self.advertise, "advertise")
        if host in _ANY_ADDRESS or port == 0:
            raise InvalidConfig(
                f"other nodes cannot reach {host}:{port}; say with --advertise at which URL they reach this one",
                field="advertise",
            )
        return None

    def _refuse_without_etcd(self) -> None:
        for name in ("etcd_ca", "etcd_cert", "etcd_key", "etcd_user", "etcd_password", "etcd_quota", "advertise"):
            if getattr(self, name) is not None:
                raise InvalidConfig(f"--{name.replace('_', '-')} has no use without --etcd", field=name)


DEFAULT_ETCD_ADDRESS = EtcdAddressOptions()
DEFAULT_ETCD_OPTIONS = EtcdOptions()


def _member_url(text: str) -> str:
    return _url(text.strip(), "etcd")


def _url(text: str, field: str) -> str:
    """``http(s)://host:port``."""
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        is_good = False
    if not is_good or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        shown = without_password(text)
        raise InvalidConfig(f"--{field} has {shown!r}; use http://host:port or https://host:port", field=field)
    return text.rstrip("/")
