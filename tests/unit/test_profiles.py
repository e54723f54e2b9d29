"""Profiles of the command line, root keys, and the key that the SDK shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from hookline import Client, KeyNotFound
from hookline.cli import app
from hookline.cli.node_options import NodeOptions
from hookline.cli.profiles import ServicePlace, keep_profile, profiles
from hookline.cli.root_key import with_root_key
from hookline.cli.service import Service
from hookline.cli.trust_options import TrustOptions
from hookline.client.transport import with_key, with_tenant
from hookline.errors import InvalidConfig, InvalidRequest
from tests.scripted_server import Answer, scripted_server

URL = "http://h.example"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("URL", "API_KEY", "API_KEY_FILE", "PROFILE", "ROOT_KEY"):
        monkeypatch.delenv(f"HOOKLINE_{name}", raising=False)
    file = tmp_path / "folder" / "config.toml"
    monkeypatch.setenv("HOOKLINE_PROFILES", str(file))
    return file


def test_profiles_are_kept_for_the_user_alone(config: Path) -> None:
    assert profiles() == {}
    keep_profile("default", ServicePlace("http://a", "k1"))
    keep_profile('odd "name"\n', ServicePlace("http://b"))
    keep_profile("default", ServicePlace("http://c", "k2"))
    assert profiles() == {"default": ServicePlace("http://c", "k2"), 'odd "name"\n': ServicePlace("http://b")}
    assert config.stat().st_mode & 0o777 == 0o600
    config.write_text("[profile")
    with pytest.raises(InvalidConfig, match="cannot be read"):
        profiles()


def test_a_key_goes_to_its_own_place_only(config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Service().place() == ServicePlace("http://127.0.0.1:7070")
    keep_profile("default", ServicePlace("http://a", "k1"))
    keep_profile("other", ServicePlace("http://b", "k2"))
    assert Service().place() == ServicePlace("http://a", "k1")
    assert Service(profile="other").place() == ServicePlace("http://b", "k2")
    assert Service(url="http://c").place() == ServicePlace("http://c"), "the profile's key is for another place"
    monkeypatch.setenv("HOOKLINE_API_KEY", " k3\n")
    assert Service(url="http://c").place() == ServicePlace("http://c", "k3")
    (tmp_path / "key").write_text("k4\n")
    assert Service(url="http://c", api_key_file=tmp_path / "key").place() == ServicePlace("http://c", "k4")
    with pytest.raises(InvalidConfig, match="there are: default, other"):
        Service(profile="none").place()
    with pytest.raises(InvalidConfig, match="cannot be read"):
        Service(url="http://c", api_key_file=tmp_path).place()


def test_a_profile_has_what_its_place_needs_for_tls(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, pair = tmp_path / "ca.pem", (tmp_path / "c.pem", tmp_path / "k.pem")
    keep_profile("secure", ServicePlace("https://a", None, ca, pair))
    assert profiles() == {"secure": ServicePlace("https://a", None, ca, pair)}
    assert Service(profile="secure").place() == ServicePlace("https://a", None, ca, pair)
    own = TrustOptions(ca_file=tmp_path / "other.pem")
    assert Service(url="https://b", trust=own).place() == ServicePlace("https://b", None, tmp_path / "other.pem")
    with pytest.raises(InvalidConfig, match="--client-cert and --client-key belong together"):
        Service(url="https://b", trust=TrustOptions(client_cert=ca)).place()


def test_login_tries_the_key_and_keeps_it(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("k1\n")
    refusal = {"code": "unauthorized", "status": 401, "title": "no", "type": "x", "detail": "no", "retryable": False}
    with scripted_server() as server:
        server.answers = [Answer(401, refusal), Answer(200, {"data": [], "next_cursor": None})]
        line = ["login", "--url", server.url, "--api-key-file", str(tmp_path / "key")]
        assert app.run(line) == 1
        assert not config.exists()
        assert app.run(line) == 0
        assert profiles() == {"default": ServicePlace(server.url, "k1")}
        assert [dict(one.headers)["authorization"] for one in server.asked] == ["Bearer k1"] * 2
    assert "k1" not in capsys.readouterr().out.replace(str(config), "")


def test_the_sdk_shows_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOKLINE_API_KEY", raising=False)
    assert with_key({"X-A": "1"}, None, URL) == {"X-A": "1"}
    assert with_key(None, "k", URL) == {"authorization": "Bearer k"}
    monkeypatch.setenv("HOOKLINE_API_KEY", "env\n")
    assert with_key(None, None, URL) == {"authorization": "Bearer env"}
    assert with_key(None, "k", URL) == {"authorization": "Bearer k"}
    assert with_key({"Authorization": "Basic x"}, None, URL) == {"Authorization": "Basic x"}
    assert with_key(None, None, "http://u:p@h.example") == {}
    for headers, url in (({"AUTHORIZATION": "Basic x"}, URL), (None, "http://u:p@h.example")):
        with pytest.raises(InvalidConfig) as refusal:
            with_key(headers, "secret-k", url)
        assert "secret-k" not in str(refusal.value)


def test_the_sdk_names_the_tenant_that_it_acts_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOKLINE_TENANT", raising=False)
    assert with_tenant({"a": "1"}, None) == {"a": "1"}
    assert with_tenant({"a": "1"}, "acme") == {"a": "1", "hookline-tenant": "acme"}
    monkeypatch.setenv("HOOKLINE_TENANT", "globex")
    assert with_tenant({}, None) == {"hookline-tenant": "globex"}
    assert with_tenant({"Hookline-Tenant": "own"}, None) == {"Hookline-Tenant": "own"}
    assert with_tenant({"Hookline-Tenant": "own"}, "acme") == {"hookline-tenant": "acme"}
    for name in ("", "a b", "x\r\ny: z"):
        with pytest.raises(InvalidRequest):
            with_tenant({}, name)
    with scripted_server() as server, Client(server.url, tenant="acme", retries=0) as client:
        server.answers = [Answer(200, {"data": [], "next_cursor": None})]
        assert list(client.list_jobs()) == []
        assert dict(server.asked[0].headers)["hookline-tenant"] == "acme"


def test_a_new_key_is_not_in_its_own_description() -> None:
    made: dict[str, Any] = {"id": "i", "key": "hookline_secret", "name": "n", "scopes": ["read"], "tenant": "default"}
    made |= {"created_at": "2026-11-24T13:00:00Z", "expires_at": None, "previous_until": None}
    missing = {"code": "key_not_found", "status": 404, "title": "no", "type": "x", "detail": "no", "retryable": False}
    with scripted_server() as server, Client(server.url, api_key="k", retries=0) as client:
        server.answers = [Answer(201, made), Answer(404, missing)]
        key = client.create_key("n", ["read"], expires="90d")
        assert key.key == "hookline_secret"
        assert "hookline_secret" not in repr(key) + str(key)
        assert json.loads(server.asked[0].body) == {"name": "n", "scopes": ["read"], "expires": "90d"}
        with pytest.raises(KeyNotFound):
            client.get_key("i")


def test_a_root_key_is_made_once_and_for_the_user_alone(config: Path, tmp_path: Path) -> None:
    del config
    options = with_root_key(NodeOptions(), tmp_path / "data")
    file = tmp_path / "data" / "root.key"
    assert options.root_key_file == file
    assert (len(file.read_text()), file.stat().st_mode & 0o777) == (65, 0o600)
    assert with_root_key(NodeOptions(), tmp_path / "data") == options
    given = NodeOptions(root_key_file=tmp_path / "mine")
    assert with_root_key(given, tmp_path / "other") == given
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "line",
    [
        "up --host 0.0.0.0 --data-dir {}",
        "up --host 0.0.0.0 --proxies 1 --data-dir {}",
        "serve --listen 10.1.2.3:7070 --data-dir {}",
        "proxy --listen [::]:7000 --topology {}/t.toml",
    ],
)
def test_beyond_this_machine_nothing_starts_without_a_key(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    del config
    assert app.run(line.format(tmp_path / "data").split()) == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert "beyond this machine, and ask nobody for a key; give --root-key-file FILE, or --no-auth" in shown
