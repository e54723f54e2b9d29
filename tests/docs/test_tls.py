"""The guide for who wants TLS, followed: on one machine, and from an authority to three nodes and a proxy."""

from functools import partial
from pathlib import Path

import hookline
from hookline import Client
from tests.docs.here import Here
from tests.docs.machines import Machines
from tests.docs.reader import Reader
from tests.end_to_end.fleet import fresh_port
from tests.end_to_end.processes import until

GUIDE = "docs/how-to/tls.md"
ROOT_KEY = "the-root-key-of-three-machines"


def test_from_an_authority_to_three_nodes_and_a_proxy(tmp_path: Path) -> None:
    words = {
        " -m 750 -g hookline": "",
        " -m 640 -g hookline": " -m 640",
        "systemctl restart hookline": "true",  # the machines do that
        "--host 10.0.0.1 ": "--host 127.0.0.1 ",
        "--host 10.0.0.2 ": "--host 127.0.0.1 ",
        "--host 10.0.0.3 ": "--host 127.0.0.1 ",
        "--host 10.0.0.4 ": "--host 127.0.0.1 ",
        "10.0.0.4:7000": f"127.0.0.1:{fresh_port()}",
    }
    with (
        Machines(tmp_path / "machines") as machines,
        Reader(GUIDE, tmp_path / "reader", Here(words, usual=machines.words), HOOKLINE_API_KEY=ROOT_KEY) as page,
    ):
        page.follow("Make an authority")
        page.served("hookline up").signal()
        page.run("unset HOOKLINE_CA_FILE")
        page.follow("Start them")
        _start(machines, page)
        page.follow("Renew certificates")
        until(lambda: _proxied(page, words["10.0.0.4:7000"]), "a job is made through the proxy")
        page.follow()
        assert (page.directory / "renewed/n1.pem").read_bytes() == (tmp_path / "machines/etc/tls/n1.pem").read_bytes()


def _start(machines: Machines, page: Reader) -> None:
    """On the other machines, and as the guide for three nodes says."""
    for name in ("n2", "n3"):
        page.run(f"install -m 640 {name}/{name}.pem {name}/{name}-key.pem {name}/ca.pem /etc/hookline/tls/")
    page.run("(umask 077; openssl rand -base64 32 > /etc/hookline/secret.key)")
    page.run(f"echo {ROOT_KEY} | tee root.key > /etc/hookline/root.key")
    machines.start_etcd()
    machines.start_nodes(1, 2, 3, more=(page.directory / "tls.env").read_text())
    etcd = ",".join(f"http://10.0.0.{number}:2379" for number in (1, 2, 3))
    page.run(f"hookline cluster init --cluster c0 --shard 0 --etcd {etcd}")
    for number in (1, 2, 3):
        until(partial(_is_ready, page, f"10.0.0.{number}:7070"), "it is ready")


def _is_ready(page: Reader, place: str) -> bool:
    with _operator(page, place) as client:
        try:
            return client.health().status == "ok"
        except hookline.HooklineError:
            return False


def _proxied(page: Reader, place: str) -> bool:
    with _operator(page, place) as client:
        return len(list(client.list_jobs())) == 1


def _operator(page: Reader, place: str) -> Client:
    folder = page.directory / "operator"
    return Client(
        f"https://{page.here.here(place)}",
        api_key=ROOT_KEY,
        ca_file=folder / "ca.pem",
        cert=(folder / "operator.pem", folder / "operator-key.pem"),
        retries=0,
    )
