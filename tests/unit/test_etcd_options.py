"""A node of a cluster takes the options of etcd, and refuses what cannot work before it starts."""

from pathlib import Path
from typing import Any

import pytest

from hookline.cli import app
from hookline.cli.etcd_options import EtcdOptions
from hookline.errors import InvalidConfig
from hookline.node.config import NodeConfig
from hookline.tls.files import TlsFiles

URLS = "http://10.0.0.1:2379,http://10.0.0.2:2379, http://10.0.0.3:2379/"


def settings(*, host: str = "10.0.0.1", port: int = 7070, **options: Any) -> dict[str, Any]:
    return EtcdOptions(**options).settings(host, port)


def test_a_node_alone_needs_nothing() -> None:
    assert settings() == {}


def test_the_members_are_told_apart() -> None:
    assert settings(etcd=URLS) == {"etcd": tuple(f"http://10.0.0.{number}:2379" for number in (1, 2, 3))}


def test_everything_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[NodeConfig] = []

    def started_with(config: NodeConfig, _options: object) -> int:
        started.append(config)
        return 0

    monkeypatch.setattr("hookline.cli.serve.run_until_stopped", started_with)
    monkeypatch.setenv("HOOKLINE_ETCD_PASSWORD", "pw")
    monkeypatch.setenv("HOOKLINE_SECRET_KEY", "a2V5")
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    line = (
        f"serve --data-dir d --listen 0.0.0.0:7070 --etcd https://a:1,https://b:2 --etcd-ca {tmp_path}/ca "
        f"--etcd-cert {tmp_path}/cert --etcd-key {tmp_path}/key --etcd-user u --etcd-quota 99999999 "
        "--advertise http://n1.example:7070 --no-auth --attempt-processes 2"
    )
    assert app.run(line.split()) == 0
    assert started == [
        NodeConfig(
            data_dir=Path("d"),
            host="0.0.0.0",
            no_auth=True,
            attempt_processes=2,
            etcd=("https://a:1", "https://b:2"),
            etcd_ca=tmp_path / "ca",
            etcd_cert=tmp_path / "cert",
            etcd_key=tmp_path / "key",
            etcd_user="u",
            etcd_password="pw",
            etcd_quota_bytes=99_999_999,
            advertise="http://n1.example:7070",
            secret_key="a2V5",
        )
    ]
    assert "pw" not in repr(started)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"etcd": "10.0.0.1:2379"}, "etcd"),
        ({"etcd": ""}, "etcd"),
        ({"etcd": "http://a:1,,http://b:1"}, "etcd"),
        ({"etcd": "http://a"}, "etcd"),
        ({"etcd": "http://a:1/v3"}, "etcd"),
        ({"etcd": "http://u:p@a:1"}, "etcd"),
        ({"etcd": "http://a:99999"}, "etcd"),
        ({"etcd": "http://a:1,https://b:1"}, "etcd"),
        ({"etcd": "https://a:1", "etcd_cert": Path("c")}, "etcd_cert"),
        ({"etcd": "https://a:1", "etcd_ca": Path("no-such-file")}, "etcd_ca"),
        ({"etcd": "http://a:1", "etcd_user": "u"}, "etcd_user"),
        ({"etcd": "http://a:1", "host": "0.0.0.0"}, "advertise"),
        ({"etcd": "http://a:1", "host": "::"}, "advertise"),
        ({"etcd": "http://a:1", "port": 0}, "advertise"),
        ({"etcd": "http://a:1", "advertise": "n1:7070"}, "advertise"),
        ({"advertise": "http://n1:7070"}, "advertise"),
        ({"etcd_user": "u"}, "etcd_user"),
    ],
)
def test_what_cannot_work_is_refused_and_the_option_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        settings(**options)
    assert refused.value.field == field


def test_with_tls_a_node_is_reached_over_https() -> None:
    options = EtcdOptions(etcd=URLS, advertise="http://n1.example:7070")
    with pytest.raises(InvalidConfig, match="has to begin with https://"):
        options.settings("10.0.0.1", 7070, "https")
    reached = EtcdOptions(etcd=URLS, advertise="https://n1.example:7070").settings("10.0.0.1", 7070, "https")
    assert reached["advertise"] == "https://n1.example:7070"
    pair = TlsFiles(cert=Path("c"), key=Path("k"))
    assert NodeConfig(data_dir=Path("d"), tls=pair).advertised_url == "https://127.0.0.1:7070"
