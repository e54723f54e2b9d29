"""Sign-in at a provider as options, variables and files; a start with what cannot work is refused."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from hookline.cli.node_options import NodeOptions
from hookline.cli.oidc_options import OidcOptions
from hookline.cli.settings_reading import SettingsReading, described
from hookline.clock import SystemClock
from hookline.dashboard.oidc.flow import ProviderSignIn
from hookline.dashboard.oidc.refusing import SignInRefused
from hookline.dashboard.oidc.settings import OidcSettings
from hookline.dashboard.sessions import Seals
from hookline.errors import InvalidConfig

ISSUER = "https://login.example.com/realms/main"
LEAST: dict[str, Any] = {"oidc_issuer": ISSUER, "oidc_client_id": "hookline", "oidc_map": ["admins=admin"]}
ROOT = "root-key-of-these-tests"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("serve", "proxy"):
        for argument in described(command).values():
            for name in argument.parameter.env_var or ():
                monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HOOKLINE_ROOT_KEY", raising=False)


def settings(host: str = "127.0.0.1", root_key: str | None = ROOT, **changes: Any) -> OidcSettings | None:
    return OidcOptions(**LEAST | changes).oidc_settings(root_key, host, "on")


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    assert settings() == OidcSettings(ISSUER, "hookline", {"admins": ("admin",)})
    assert OidcOptions().oidc_settings(None, "0.0.0.0", "off") is None
    secret = tmp_path / "secret"
    secret.write_text(" s3cret \n")
    found = settings(
        oidc_client_secret_file=secret,
        oidc_map=["The Admins=read, admin", "cn=x,dc=y=read"],
        oidc_request="openid,groups",
        oidc_session="30m",
        oidc_tenant_claim="company",
    )
    assert found is not None
    assert found.scopes_of == {"The Admins": ("read", "admin"), "cn=x,dc=y": ("read",)}
    assert (found.client_secret, found.request, found.session_ms) == ("s3cret", ("openid", "groups"), 1_800_000)
    assert "s3cret" not in repr(found)
    assert found.shown == "login.example.com"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"root_key": None}, "needs a root key"),
        ({"oidc_client_id": None}, "--oidc-client-id"),
        ({"oidc_map": None}, "--oidc-map"),
        ({"oidc_map": ["admins"]}, "GROUP=SCOPE"),
        ({"oidc_map": ["admins=root"]}, "GROUP=SCOPE"),
        ({"oidc_map": ["=read"]}, "GROUP=SCOPE"),
        ({"oidc_map": ["a=read", "a=admin"]}, "twice"),
        ({"oidc_issuer": "http://login.example.com"}, "https://"),
        ({"oidc_issuer": "login.example.com"}, "https://"),
        ({"oidc_issuer": "https://user@login.example.com"}, "without a user"),
        ({"oidc_issuer": "https://login.example.com/?a"}, "does not belong"),
        ({"oidc_issuer": "https://[login"}, "not a url"),
        ({"oidc_request": "email"}, "openid"),
        ({"oidc_session": "13h"}, "12h"),
        ({"oidc_session": "1s"}, "1m"),
        ({"oidc_redirect_url": "http://hooks.example.com/dashboard/oidc/callback"}, "https://"),
        ({"oidc_redirect_url": "https://hooks.example.com/"}, "/dashboard/oidc/callback"),
        ({"host": "0.0.0.0"}, "--oidc-redirect-url"),
        ({"oidc_issuer": None}, "needs --oidc-issuer"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        settings(**changes)
    assert said in refused.value.detail


def test_beyond_this_machine_it_is_told_its_name() -> None:
    found = settings("0.0.0.0", oidc_redirect_url="https://hooks.example.com/dashboard/oidc/callback")
    assert found is not None
    with pytest.raises(InvalidConfig, match="takes away"):
        OidcOptions(**LEAST).oidc_settings(ROOT, "127.0.0.1", "off")


@pytest.mark.parametrize("command", ["serve --data-dir d", "proxy --seed http://127.0.0.1:1"])
def test_flags_variables_and_files_say_the_same(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *flags = shlex.split(command)
    by_flag = [
        f"--oidc-issuer={ISSUER}",
        "--oidc-client-id=hookline",
        "--oidc-map",
        "My Admins=admin",
        "--oidc-map=b=read",
    ]
    [problem] = SettingsReading(name, (*flags, *by_flag)).problems
    assert "needs a root key" in problem
    monkeypatch.setenv("HOOKLINE_ROOT_KEY", ROOT)
    assert SettingsReading(name, (*flags, *by_flag)).problems == []
    file = tmp_path / "hookline.toml"
    table = "node" if name == "serve" else "proxy"
    lines = (
        f'[{table}]\noidc-issuer = "{ISSUER}"\noidc-client-id = "hookline"\noidc-map = ["My Admins=admin", "b=read"]\n'
    )
    file.write_text(lines)
    assert SettingsReading(name, (*flags, "--config", str(file))).problems == []
    file.write_text(lines.replace("b=read", "b=reed"))
    problem, *_ = SettingsReading(name, (*flags, "--config", str(file))).problems
    assert problem.startswith(f"{file}:4: ")
    assert "b=reed" in problem
    monkeypatch.setenv("HOOKLINE_OIDC_ISSUER", ISSUER)
    monkeypatch.setenv("HOOKLINE_OIDC_CLIENT_ID", "hookline")
    monkeypatch.setenv("HOOKLINE_OIDC_MAP", "My Admins=admin;b=read")
    assert SettingsReading(name, tuple(flags)).problems == []


def test_processes_that_are_started_get_the_same() -> None:
    environment = NodeOptions(**LEAST | {"oidc_map": ["My Admins=admin", "b=read"]}).proxy_environment()
    assert environment["HOOKLINE_OIDC_MAP"] == "My Admins=admin;b=read"
    assert environment["HOOKLINE_OIDC_ISSUER"] == ISSUER


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://10.0.0.1", "http://127.0.0.1.evil.example", "http://[", "http://"]
)
async def test_a_made_up_host_is_not_believed(origin: str) -> None:
    clock = SystemClock()
    found = settings()
    assert found is not None
    with pytest.raises(SignInRefused, match="--oidc-redirect-url"):
        await ProviderSignIn(found, Seals([ROOT], clock.token), clock).begin(origin, "/dashboard")


def test_a_secret_that_can_be_read_once_is_read_once(tmp_path: Path) -> None:
    """Settings are checked before they are used; a pipe is empty the second time."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    options = OidcOptions(**LEAST, oidc_client_secret_file=secret)
    for _ in range(2):
        settings = options.oidc_settings(ROOT, "127.0.0.1", "on")
        assert settings is not None
        assert settings.client_secret == "s3cret"
        secret.write_text("")
