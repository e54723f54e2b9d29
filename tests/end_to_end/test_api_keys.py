"""API keys with real processes: three nodes over etcd behind a proxy, and whatever they write."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hookline
from hookline import Client
from tests.end_to_end.processes import UNMEASURED, running_node, until

CLI = (sys.executable, "-m", "hookline.cli.app")


def cli(*arguments: str) -> str:
    return subprocess.run([*CLI, *arguments], env=UNMEASURED, capture_output=True, text=True, check=True).stdout


def status(url: str, path: str, key: str) -> int:
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {key}", url + path]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_fleet_asks_for_keys_and_writes_none_down(tmp_path: Path) -> None:
    data_dir, backup = tmp_path / "data", tmp_path / "backup.db"
    stack = ("--nodes", "3", "--proxies", "1", "--auth", "--mode", "hybrid")
    with running_node(data_dir, *stack) as fleet:
        url, root_file = f"http://127.0.0.1:{fleet.port}", data_dir / "root.key"
        root = root_file.read_text().strip()
        assert root_file.stat().st_mode & 0o077 == 0
        with Client(url) as stranger, pytest.raises(hookline.Unauthorized):
            stranger.get_job("none")
        with Client(url, api_key=root) as client:
            until(lambda: len(client.cluster().nodes) == 3, "each node has told the others of itself")
            nodes = [node.url for node in client.cluster().nodes]
            assert client.cluster().mode == "hybrid", "hookline up shows the root key as it sets the mode"
            assert client.set_mode("leader").mode == "leader"
        place = ("--url", url, "--api-key-file", str(root_file), "--json")
        made: dict[str, Any] = json.loads(cli("keys", "create", "--name", "shop", "--scope", "write,read", *place))
        assert made.keys() >= {"id", "key", "name", "scopes", "tenant", "expires_at"}
        with Client(url, api_key=made["key"]) as client:
            client.create_job("https://shop.example.com/", delay="1h")
            with pytest.raises(hookline.Forbidden):
                client.delete_destination("shop.example.com")
        keys = [root, made["key"]]
        with Client(nodes[0], api_key=root) as client:
            for _ in range(5):  # each is asked about at once where it may not be known yet
                keys.append(client.create_key("ci", ["read"]).key)
                assert [status(node, "/cluster", keys[-1]) for node in (*nodes, url)] == [200] * 4
        rotated = json.loads(cli("keys", "rotate", made["id"], "--overlap", "0s", *place))
        keys.append(rotated["key"])
        assert [status(each, "/jobs", made["key"]) for each in (*nodes, url)] == [401] * 4
        assert status(url, "/jobs", rotated["key"]) == 200
        assert json.loads(cli("keys", "list", *place))["data"][0]["id"] == made["id"], "the oldest first"
        assert json.loads(cli("keys", "show", made["id"], *place))["name"] == "shop"
        assert json.loads(cli("keys", "revoke", made["id"], "--yes", *place)) == {"revoked": made["id"]}
        until(lambda: {status(each, "/jobs", rotated["key"]) for each in (*nodes, url)} == {401}, "it is refused")
        before = {row["id"]: row for row in json.loads(cli("audit", *place))["data"]}
        actions = [row["action"] for row in before.values() if row["outcome"] == "done"]
        assert sorted(set(actions)) == ["changeCluster", "createKey", "revokeKey", "rotateKey", "takeTopology"]
        assert (actions.count("createKey"), actions.count("changeCluster")) == (6, 2)
        refused = [(row["action"], row["actor"]) for row in before.values() if row["outcome"] == "refused"]
        assert refused == [("deleteDestination", made["id"])]
        handover = ["curl", "-sf", "-X", "POST", "-H", f"Authorization: Bearer {root}", f"{url}/clusters/c0/handover"]
        subprocess.run(handover, check=True, capture_output=True)
        with Client(url, api_key=root) as client:
            until(lambda: client.cluster().term > 1, "another node leads")
            after = {row.id: row for row in client.list_audit()}
        assert after.keys() >= before.keys()
        assert [after[row].action for row in after.keys() - before.keys()] == ["handover"]
        cli("backup", "--url", nodes[1], "--api-key-file", str(root_file), "--out", str(backup))
        planted = [text.encode() for key in keys for text in (key, key.rpartition("_")[2])]
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in fleet.children()]
        assert len(commands) >= 7
        assert not [text for command in commands for text in planted if text in command]
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file != root_file]
    written = {file.relative_to(tmp_path): file.read_bytes() for file in files}
    assert [name for name, content in written.items() if rotated["id"].encode() in content], "it is looked at rightly"
    assert [(str(name), text) for name, content in written.items() for text in planted if text in content] == []
