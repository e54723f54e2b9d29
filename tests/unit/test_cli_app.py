"""The command as a whole: version, completion, starting a node, secrets, quiet ends."""

import importlib.metadata
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import hookline
from hookline.cli import app, overview
from hookline.cli.etcd_options import EtcdOptions
from hookline.cli.node_options import NodeOptions
from hookline.cli.oidc_options import OidcOptions
from hookline.cli.tls_options import TlsOptions
from hookline.dashboard.oidc.settings import OidcSettings
from hookline.node.config import NodeConfig
from hookline.protocol import signatures
from hookline.protocol.destination_patterns import parse_patterns
from hookline.tls.files import TlsFiles
from tests import scripted_server as served
from tests.scripted_server import Answer, scripted_server


def run(capsys: pytest.CaptureFixture[str], *tokens: str) -> tuple[int, str, str]:
    code = app.run(tokens)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"{hookline.__version__}\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    code, out, _ = run(capsys, "completion", shell)
    assert code == 0
    assert "retry-all" in out


def test_help_lists_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 0
    for group in ("up", "serve", "listen", "jobs", "schedules", "destinations", "cluster", "secret", "completion"):
        assert f"\n  {group} " in out


@pytest.mark.parametrize("words", [[], ["jobs"], ["jobs", "create"]])
def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run(capsys, "help", *words) == run(capsys, *words, "--help")
    assert run(capsys, "help", *words)[0] == 0


def test_a_fresh_secret_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "secret", "new")
    assert signatures.parse_secret(out.strip()).can_sign
    _, out, _ = run(capsys, "secret", "new", "--json")
    assert signatures.parse_secret(json.loads(out)["secret"]).can_sign


def test_a_fresh_key_pair_belongs_together(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "secret", "new", "--ed25519", "--json")
    pair = json.loads(out)
    signature = signatures.sign([signatures.parse_secret(pair["private"])], "id", 1, b"x")
    headers = {"webhook-id": "id", "webhook-timestamp": "1", "webhook-signature": signature}
    signatures.verify(headers, b"x", pair["public"], now_s=1)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("up --clusters 0", "clusters"),
        ("up --nodes 3 --slots 0", "slots"),
        ("up --proxies 51", "proxies"),
        ("up --slots 0", "slots"),
        ("up --port 70000", "port"),
        ("up --log-level loud", "log_level"),
    ],
)
def test_what_is_out_of_range_is_said_clearly(capsys: pytest.CaptureFixture[str], line: str, field: str) -> None:
    code, out, err = run(capsys, *line.split(" "))
    assert (code, out) == (1, "")
    assert f"code: invalid_config · field: {field}" in err


def test_every_setting_of_a_node_can_be_given() -> None:
    options = {field.name for field in fields(NodeOptions) + fields(EtcdOptions)}
    other_names = {"etcd_quota_bytes": "etcd_quota"} | dict.fromkeys(("root_key", "former_root_key"), "root_key_file")
    settings = {other_names.get(field.name, field.name.removesuffix("_ms")) for field in fields(NodeConfig)}
    told_by_command = {"data_dir", "host", "port", "internal_host", "internal_port", "cluster", "shard", "node", "mode"}
    told_by_command |= {"tls"}
    others = {"log_level", "log_json", "dashboard", "traces", "traces_ratio"}
    others |= {field.name for field in fields(OidcOptions)}
    assert settings == (options - others) | told_by_command
    other_names = {"client_secret": "client_secret_file", "scopes_of": "map", "session_ms": "session"}
    of_provider = {other_names.get(field.name, field.name) for field in fields(OidcSettings)}
    assert {f"oidc_{name}" for name in of_provider} == {field.name for field in fields(OidcOptions)}
    assert {f"tls_{field.name}" for field in fields(TlsFiles)} == {field.name for field in fields(TlsOptions)}


@pytest.mark.parametrize("command", ["serve --data-dir d", "up", "up --clusters 2", "proxy --seed http://n1:7070"])
def test_traces_that_cannot_be_sent_are_refused_at_the_start(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--traces", "http://user:hush@otel"], ["--traces-ratio", "2"]):
        assert app.run([*command.split(), *options]) == 1
        said = capsys.readouterr().err
        assert ("OTEL_EXPORTER_OTLP_HEADERS" if "--traces" in options else "traces-ratio") in said
        assert "hush" not in said


def serve_config(monkeypatch: pytest.MonkeyPatch, *options: str) -> NodeConfig | int:
    """The settings of ``hookline serve`` with these options, or its exit code when it refuses them."""
    started: list[NodeConfig] = []

    def note(config: NodeConfig, _options: Any) -> int:
        started.append(config)
        return 0

    monkeypatch.setattr("hookline.cli.serve.run_until_stopped", note)
    code = app.run(["serve", "--data-dir", "d", *options])
    return started[0] if started else code


def test_a_node_may_have_an_address_of_its_own_for_other_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "root.key"
    keys.write_text("the-newer-root-key\n\nthe-older-root-key\n")
    shown = ("--root-key-file", str(keys))
    etcd = ("--etcd", "http://10.0.0.1:2379")
    two = serve_config(monkeypatch, "--listen-internal", "10.1.0.1:7071", *shown, *etcd)
    assert isinstance(two, NodeConfig)
    assert two.places == (("127.0.0.1", 7070), ("10.1.0.1", 7071))
    assert (two.url, two.advertised_url) == ("http://127.0.0.1:7070", "http://10.1.0.1:7071")
    assert two.root_keys == ("the-newer-root-key", "the-older-root-key")
    cert, key = (tmp_path / name for name in ("cert.pem", "key.pem"))
    secure = serve_config(
        monkeypatch, "--listen-internal", "10.1.0.1:7071", "--tls-cert", str(cert), "--tls-key", str(key), *shown, *etcd
    )
    assert isinstance(secure, NodeConfig)
    assert (secure.url, secure.advertised_url) == ("https://127.0.0.1:7070", "https://10.1.0.1:7071")
    named = serve_config(
        monkeypatch, "--listen-internal", "0.0.0.0:7071", "--advertise", "http://n1:7071", *shown, *etcd
    )
    assert isinstance(named, NodeConfig)
    assert named.advertised_url == "http://n1:7071"
    for code, wrong, why in (
        (1, ("--listen-internal", "10.1.0.1:7071"), "at 10.1.0.1, beyond this machine"),
        (1, ("--listen-internal", "0.0.0.0:7071", *shown, *etcd), "cannot reach 0.0.0.0:7071"),
        (2, ("--listen-internal", "10.1.0.1"), "not HOST:PORT"),
    ):
        assert serve_config(monkeypatch, *wrong) == code
        assert why in capsys.readouterr().err.replace("\n", " ")
    keys.write_text("one-of-the-root-keys\ntwo-of-the-root-keys\nthree\n")
    assert serve_config(monkeypatch, *shown) == 2


def test_settings_come_from_options_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[NodeConfig] = []

    def note(config: NodeConfig, options: Any, *, greet: bool = False) -> int:
        started.append(config)
        return 0

    monkeypatch.setattr("hookline.cli.serve.run_until_stopped", note)
    monkeypatch.setattr("hookline.cli.up.run_until_stopped", note)
    monkeypatch.setenv("HOOKLINE_RETENTION", "36h")
    monkeypatch.setenv("HOOKLINE_ATTEMPT_PROCESSES", "2")
    monkeypatch.setenv("HOOKLINE_SIGNING_SECRET", "whsec_x")
    monkeypatch.setenv("HOOKLINE_ALLOW_PRIVATE_DESTINATIONS", "true")
    monkeypatch.setenv("HOOKLINE_DENY_DESTINATIONS", "10.2.9.0/24")
    line = "serve --cluster c2 --shard 2 --node n3 --listen [::1]:7071 --data-dir d --slots 7 --destination-ports 80,81"
    allow = ("--allow-destinations", "10.2.0.0/16,*.svc.cluster.local", "--retention-dead", "60d")
    assert app.run([*line.split(" "), "--shutdown-grace", "2.5", "--key-window", "1h", *allow]) == 0
    assert app.run(["up"]) == 0
    served, up = started
    assert served == NodeConfig(
        data_dir=Path("d"),
        host="::1",
        port=7071,
        cluster="c2",
        shard=2,
        node="n3",
        slots=7,
        attempt_processes=2,
        allow_private_destinations=True,
        allow_destinations=parse_patterns("10.2.0.0/16,*.svc.cluster.local", "allow-destinations"),
        deny_destinations=parse_patterns("10.2.9.0/24", "deny-destinations"),
        destination_ports=frozenset({80, 81}),
        signing_secret="whsec_x",
        shutdown_grace_ms=2_500,
        key_window_ms=3_600_000,
        retention_ms=36 * 3_600_000,
        retention_dead_ms=60 * 86_400_000,
    )
    assert (up.data_dir, up.host, up.port, up.slots) == (Path("hookline-data"), "127.0.0.1", 7070, 100)


@pytest.mark.parametrize("option", ["allow-destinations", "deny-destinations"])
def test_a_bad_pattern_refuses_to_start_and_says_where(capsys: pytest.CaptureFixture[str], option: str) -> None:
    code, out, err = run(capsys, "up", f"--{option}", "shop.internal,10.2.0.5/16")
    assert (code, out) == (1, "")
    assert f"--{option}, entry 2: '10.2.0.5/16' has bits beyond its length; did you mean 10.2.0.0/16?" in err


def test_a_reader_that_has_gone_is_no_error() -> None:
    command = f"{sys.executable} -m hookline.cli.app completion bash"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() in ("141", "0")


def test_importing_the_sdk_brings_in_nothing_heavy() -> None:
    heavy = ("uvicorn", "apsw", "cryptography", "msgspec", "httpx2", "rich", "cyclopts")
    code = f"import sys, hookline; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


def modules_of(code: str) -> set[str]:
    """Lists what Python has imported after running it, in another process."""
    code = f"import sys\n{code}\nprint(*sys.modules, file=sys.__stdout__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.splitlines()[-1].split())


def ran(*tokens: str) -> str:
    return f"import io; sys.stdout = io.StringIO()\nfrom hookline.cli.app import run; run({list(tokens)!r})"


SERVER_PARTS = {"uvicorn", "apsw", "cryptography", "uvloop", "starlette", "grpc", "structlog", "hookline.node"}


RICH = {"rich", "rich.console", "rich.text"}
LIBRARY = {"httpx2", "httpcore2", "anyio", "h11", "asyncio", "ssl", "http.client", "email", "importlib.metadata"}


@pytest.mark.parametrize(
    ("tokens", "modules_max", "not_needed"),
    [
        (("--version",), 330, SERVER_PARTS | LIBRARY | {"msgspec", "hookline.cli.jobs"}),
        (
            ("jobs", "list", "--url={url}"),
            400,
            SERVER_PARTS | LIBRARY | RICH | {"tomllib", "json", "hookline.cli.up", "hookline.cli.watching"},
        ),
        (("jobs", "list", "--json", "--url={url}"), 400, SERVER_PARTS | LIBRARY | RICH),
    ],
    ids=["--version", "jobs list", "jobs list --json"],
)
def test_a_command_imports_only_what_it_needs(tokens: tuple[str, ...], modules_max: int, not_needed: set[str]) -> None:
    with scripted_server() as server:
        server.answers = [Answer(200, {"data": [served.job()], "next_cursor": None})]
        imported = modules_of(ran(*(token.format(url=server.url) for token in tokens)))
        assert server.asked or "jobs" not in tokens
    assert imported & not_needed == set()
    assert len(imported) < modules_max


def test_the_overview_needs_nothing() -> None:
    code = "import io; sys.stdout = io.StringIO(); sys.argv = ['hookline', '--help']\n"
    imported = modules_of(code + "from hookline.cli.entry import main; main(); assert 'jobs' in sys.stdout.getvalue()")
    assert imported & (SERVER_PARTS | LIBRARY | RICH | {"cyclopts", "msgspec", "inspect", "typing_extensions"}) == set()
    assert len(imported) < 120


def test_the_version_is_said_once() -> None:
    assert importlib.metadata.version("hookline") == hookline.__version__


def test_the_list_of_commands_says_what_each_says_itself() -> None:
    for command in overview.COMMANDS:
        assert app.app[command.name].help.startswith(command.help), command.name


def test_every_public_name_is_there() -> None:
    for name in hookline.__all__:
        assert getattr(hookline, name) is not None
    assert set(dir(hookline)) == set(hookline.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        hookline.nope  # noqa: B018


def test_the_public_names_are_those_the_type_checker_sees() -> None:
    source = Path(hookline.__file__).read_text()
    typed = {line.rpartition(" as ")[2].strip() for line in source.splitlines() if line.startswith("    from hookline")}
    assert typed | {"__version__"} == set(hookline.__all__)
