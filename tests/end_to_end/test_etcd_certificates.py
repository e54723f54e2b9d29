"""The certificates for etcd change while a node runs: it goes on by the new ones, without a restart."""

from pathlib import Path

from hookline.clock import SystemClock
from hookline.tls.authority import MadeCertificate, issue, make_authority
from tests.chaos.cluster import ClusterNode
from tests.end_to_end.processes import until
from tests.etcd_members import EtcdMembers, EtcdTls

NOW_S = SystemClock().wall_ms() / 1_000
JOB = {"url": "https://example.com/", "delay": "1h"}


def write(folder: Path, authority: MadeCertificate, *trusted: MadeCertificate) -> EtcdTls:
    """A pair of that authority, and whom it trusts, always in the same files."""
    folder.mkdir(exist_ok=True)
    tls = EtcdTls(folder / "ca.pem", folder / "one.pem", folder / "one-key.pem", is_mutual=True)
    pair = issue(authority, "one", ("127.0.0.1",), NOW_S, 90)
    tls.cert_file.write_bytes(pair.cert)
    tls.key_file.write_bytes(pair.key)
    tls.ca_file.write_bytes(b"".join(one.cert for one in trusted))
    return tls


def test_a_node_goes_on_by_the_certificates_of_a_new_authority(tmp_path: Path) -> None:
    old, new = (make_authority(name, NOW_S) for name in ("old", "new"))
    of_etcd, own = write(tmp_path / "etcd-tls", old, old), write(tmp_path / "own-tls", old, old)
    secret = tmp_path / "secret.key"
    secret.write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    secret.chmod(0o600)
    with EtcdMembers(tmp_path / "etcd", 1, tls=of_etcd) as etcd:
        files = ("--etcd-ca", str(own.ca_file), "--etcd-cert", str(own.cert_file), "--etcd-key", str(own.key_file))
        node = ClusterNode("n1", tmp_path, etcd.endpoints, "--new-cluster", *files)
        node.start()
        try:
            until(node.is_ok, "it leads")
            assert node.call("POST", "/jobs", JOB | {"id": "before"})[0] == 201
            assert 'hookline_tls_certificate_expires_timestamp_seconds{certificate="etcd_client"}' in _metrics(node)
            write(tmp_path / "own-tls", new, old, new)
            until(lambda: "tls_files_loaded" in node.log.read_text(), "it has seen the new files")
            etcd.close()
            write(tmp_path / "etcd-tls", new, new)
            etcd.start()
            until(lambda: _creates(node), "it works again")
            assert {job["id"] for job in node.call("GET", "/jobs")[1]["data"]} == {"before", "after"}
            pid = node.pid
            write(tmp_path / "own-tls", new, new)
            until(lambda: node.log.read_text().count("tls_files_loaded") == 2, "it trusts the new one only")
            assert (node.pid, node.is_running) == (pid, True)
            assert node.call("POST", "/jobs/after/cancel")[0] == 200
        finally:
            node.kill()


def _metrics(node: ClusterNode) -> str:
    return node.raw_call("GET", "/metrics", None, {})[1].decode()


def _creates(node: ClusterNode) -> bool:
    return node.call("POST", "/jobs", JOB | {"id": "after"})[0] in (200, 201)
