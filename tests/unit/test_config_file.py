"""Settings from a file: what outranks it, what it may hold, and how the commands that look at settings tell of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from docs.generators import configuration as page
from hookline.cli import app
from hookline.cli.config_file import TABLES, read_settings
from hookline.cli.node_options import NodeOptions
from hookline.cli.parameters import form_of, is_secret
from hookline.cli.settings_reading import SettingsReading, described
from hookline.cli.stack.supervisor import node_environment
from hookline.node.config import NodeConfig
from hookline.proxy.config import ProxyConfig
from hookline.worker.config import WorkerConfig
from tests.node_parts import ManualClock


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("serve", "proxy", "worker"):
        for argument in described(command).values():
            for name in argument.parameter.env_var or ():
                monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HOOKLINE_ROOT_KEY", raising=False)


def written(directory: Path, text: str, mode: int = 0o644) -> Path:
    file = directory / "hookline.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


def started(file: Path, command: str, *flags: str) -> Any:
    reading = SettingsReading(command, ("--config", str(file), *flags))
    assert reading.problems == []
    assert reading.start is not None
    return reading.start.config


def problems_of(file: Path, command: str, *flags: str) -> list[str]:
    return SettingsReading(command, ("--config", str(file), *flags)).problems


def test_flags_outrank_the_environment_which_outranks_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[node]\ndata-dir = "d"\nslots = 3\nretention = "3d"\nbatch_jobs_max = 3\nno-auth = true\n'
    file = written(tmp_path, text)
    monkeypatch.setenv("HOOKLINE_SLOTS", "2")
    monkeypatch.setenv("HOOKLINE_RETENTION", "2d")
    monkeypatch.setenv("HOOKLINE_NO_AUTH", "false")
    config = started(file, "serve", "--slots", "1")
    assert isinstance(config, NodeConfig)
    assert (config.slots, config.retention_ms, config.batch_jobs_max) == (1, 2 * 86_400_000, 3)
    assert not config.no_auth


def test_the_file_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKLINE_CONFIG", str(written(tmp_path, '[node]\ndata-dir = "d"\nslots = 3\n')))
    reading = SettingsReading("serve", ())
    assert reading.start is not None
    assert isinstance(reading.start.config, NodeConfig)
    assert reading.start.config.slots == 3


def test_each_command_reads_its_own_tables(tmp_path: Path) -> None:
    file = written(tmp_path, page.EXAMPLE.replace("/etc/hookline", str(tmp_path)))
    (tmp_path / "root.key").write_text("0123456789abcdef")
    (tmp_path / "secret.key").write_text("x")
    node = started(file, "serve")
    assert isinstance(node, NodeConfig)
    assert (node.host, node.slots, node.retention_ms) == ("10.0.0.1", 200, 14 * 86_400_000)
    assert node.etcd == tuple(f"https://10.0.0.{number}:2379" for number in (1, 2, 3))
    assert node.allow_destinations.has_names
    assert node.root_key == "0123456789abcdef"
    proxy = started(file, "proxy")
    assert isinstance(proxy, ProxyConfig)
    assert proxy.seeds == ("http://10.0.0.1:7070", "http://10.0.0.2:7070")
    worker = started(file, "worker")
    assert isinstance(worker, WorkerConfig)
    assert worker.cluster == ("http://10.0.0.1:7070", "http://10.0.0.2:7070")


def test_the_reference_is_up_to_date() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), "run: python docs/generators/configuration.py"


@pytest.mark.parametrize("command", ["serve", "proxy", "worker"])
def test_every_setting_can_be_in_the_file(command: str, tmp_path: Path) -> None:
    values = {"true or false": "true", "number": "7", "list": '["a"]', "duration": '"7s"', "file": '"f"', "text": '"t"'}
    tables: dict[str, list[str]] = {}
    for (table, name), argument in described(command).items():
        if name not in ("config", "new-cluster"):
            tables.setdefault(table, []).append(f"{name} = {values[form_of(argument)]}")
    text = "\n".join("\n".join([f"[{table}]", *lines]) for table, lines in tables.items())
    reading = SettingsReading(command, ("--config", str(written(tmp_path, text, 0o600))))
    assert len(reading.settings) == sum(map(len, tables.values())) + (2 if command == "serve" else 1)
    by_hand = {"config", "new-cluster"}
    given = {one.name: one.tokens[0].source for one in reading.settings if one.tokens and one.name not in by_hand}
    assert given.keys() == {one.name for one in reading.settings} - by_hand
    assert all(source.startswith(str(tmp_path)) for source in given.values())


def test_all_secrets_are_known() -> None:
    secrets = {name for command in TABLES for (_, name), one in described(command).items() if is_secret(one)}
    assert secrets == {"signing-secret", "secret-key", "etcd-password", "egress-proxy"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[node]\nslts = 3", ":2: hookline serve has no setting slts in [node]; did you mean slots?"),
        ("[node]\nzzz = 3", ":2: hookline serve has no setting zzz in [node]; hookline config show node lists all"),
        ("[nod]\nslots = 3", ":1: there is no table [nod]; did you mean [node]?"),
        ("slots = 3", ":1: slots stands in no table; there are [node], [cluster], [proxy], [worker]"),
        ("\nnode = 3", ":2: node is a table; begin it with [node]"),
        ('[node]\n\netcd = "http://a:1"', ":3: etcd belongs into the table [cluster]"),
        ("[cluster]\nnew-cluster = true", ":2: new-cluster is only said by hand, as --new-cluster"),
        ('[node]\nconfig = "x"', ":2: config is only said by hand"),
        ("[node]\nslots = [1, 2]", ":2: slots takes one value, not a list"),
        ("[node]\nslots = {a = 1}", ":2: slots takes a text or a number"),
        ("[node]\nallow-hosts = [{a = 1}]", ":2: allow-hosts takes a text or a number"),
        ("[node]\nslots = 2026-11-28", ":2: slots takes a text or a number"),
        ('[node]\nslots = "many"', ':2: unable to convert "many" into int.'),
        ('[node]\n\nretention = "7x"', ":3. the duration is not like"),
        ('[node]\nlisten = "here"', "'here' is not HOST:PORT"),
        ("[node]\ndestination-ports = [80, 0]", "is not a list of ports"),
        ('[node]\nallow-hosts = ["a b"]', "is not a list of host names"),
        ("[node]\nslots = 0", ":2: --slots is 0; it must be between 1 and 10000"),
        ('[node]\nretention = "0.5"', ":2: --retention-ms is 500; it must be between"),
        ('[node]\nlog-level = "loud"', ":2: --log-level is 'loud'"),
        ('[node]\nsigning-secret = "whsec_x"', ":2: signing-secret is a secret, and others may read"),
        ('[cluster]\netcd-password = "p"', "give it in a file of its own or in HOOKLINE_ETCD_PASSWORD"),
        ("[node]\nslots = ", "is not TOML: "),
        ("[node]\nslots = 1\nslots = 2", "is not TOML: "),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    (problem,) = problems_of(written(tmp_path, text), "serve", "--data-dir", "d")
    assert said in problem
    assert str(tmp_path / "hookline.toml") in problem


def test_a_process_does_not_start_with_a_wrong_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "[node]\nslts = 3\n")
    for command in ("serve", "up"):
        assert app.run([command, "--data-dir", str(tmp_path / "data"), "--config", str(file)]) == 1
        assert "did you mean slots?" in capsys.readouterr().err
    assert app.run(["serve", "--data-dir", str(tmp_path / "data"), "--config", str(tmp_path / "none")]) == 1
    assert "none cannot be read: No such file" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_up_refuses_what_it_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["up", "--config", str(written(tmp_path, '[node]\nlisten = "127.0.0.1:1"\n'))]) == 1
    assert ":2: hookline up has no setting listen in [node]" in capsys.readouterr().err


def test_a_secret_may_be_in_a_file_that_its_owner_alone_may_read(tmp_path: Path) -> None:
    file = written(tmp_path, '[node]\ndata-dir = "d"\nsigning-secret = "whsec_x"\n', 0o600)
    assert started(file, "serve").signing_secret == "whsec_x"


def test_places_are_lines_whatever_stands_between(tmp_path: Path) -> None:
    text = (
        '# slots = 1\n[node]  # [proxy]\nallow-hosts = [\n  "a]",\n\n  "slots = 2",\n]\nnode = """\nslots = 3\n"""\n'
        "shard = 1 # ]\n[worker]\nslots = 4\n[cluster]\n  etcd-user = 'u'\n"
    )
    found, problems = read_settings(written(tmp_path, text))
    places = {(one.table, one.name): int(one.place.rpartition(":")[2]) for one in found}
    assert problems == []
    assert places == {
        ("node", "allow-hosts"): 3,
        ("node", "node"): 8,
        ("node", "shard"): 11,
        ("worker", "slots"): 13,
        ("cluster", "etcd-user"): 15,
    }


def test_tables_may_be_written_in_any_way(tmp_path: Path) -> None:
    found, problems = read_settings(written(tmp_path, 'proxy = {no-auth = true}\nnode.slots = 1\n"worker".slots = 2\n'))
    assert problems == []
    assert [(one.table, one.name, one.value, one.place[-1]) for one in found] == [
        ("proxy", "no-auth", True, "1"),
        ("node", "slots", 1, "2"),
        ("worker", "slots", 2, "3"),
    ]


def test_check_tells_all_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        '[node]\nslots = 0\nbatch-jobs-max = 0\nretention = "x"\nlisten = "10.0.0.1:1"\n[worker]\nnmae = "w"\n[prox]\n'
    )
    file = written(tmp_path, text)
    assert app.run(["config", "check", "--config", str(file), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["checked"]) == (False, ["node", "worker"])
    said = "\n".join(found["problems"])
    for part in (
        ":2: --slots is 0",
        ":3: --batch-jobs-max is 0",
        'Invalid value "x" for retention',
        "ask nobody for a key",
        "--data-dir has to be given",
        "has no setting nmae in [worker]; did you mean name?",
        "there is no table [prox]; did you mean [proxy]?",
        "--cluster has to be given",
        "a worker needs the secret key",
    ):
        assert part in said
    assert len(found["problems"]) == 9
    assert app.run(["config", "check", "--config", str(file)]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("error: ")) == ("", 9)


def test_check_warns_of_what_fits_badly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "secret.key"
    key.write_text("x")
    key.chmod(0o644)
    text = (
        f'[node]\ndata-dir = "d"\nlisten = "10.0.0.1:1"\nno-auth = true\nallow-private-destinations = true\n'
        f'secret-key-file = "{key}"\nretention = "40d"\n[cluster]\netcd = "http://10.0.0.9:1"\n'
    )
    file = written(tmp_path, text)
    assert app.run(["config", "check", "--config", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    said = "\n".join(found["warnings"])
    for part in (
        "asks nobody for a key",
        "allow-private-destinations is on",
        f"may read {key}",
        "retention-dead is shorter",
        "etcd at 10.0.0.9 is called without TLS",
    ):
        assert part in said
    assert (found["ok"], len(found["warnings"])) == (True, 5)
    assert app.run(["config", "check", "--config", str(file)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "the settings of node are in order\n"
    assert captured.err.count("warning: ") == 5


def test_what_is_usual_causes_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["config", "check", "node", "--", "--data-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    assert app.run(["config", "check"]) == 2


def test_show_tells_origins_and_masks_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, '[node]\ndata-dir = "d"\nsecret-key = "planted-1"\nretention = "8d"\n', 0o600)
    monkeypatch.setenv("HOOKLINE_SIGNING_SECRET", "planted-2")
    monkeypatch.setenv("HOOKLINE_ROOT_KEY", "planted-3-and-longer")
    line = ["config", "show", "node", "--config", str(file)]
    flags = ["--", "--slots", "5", "--etcd-password", "planted-4", "--log-json"]
    assert app.run([*line, "--json", *flags]) == 1  # a password without --etcd
    out = capsys.readouterr().out
    found = {one["name"]: (one["value"], one["origin"], one["at"]) for one in json.loads(out)["settings"]}
    assert found["slots"] == ("5", "flag", "--slots")
    assert found["log-json"] == ("true", "flag", "--log-json")
    assert found["data-dir"] == ("d", "file", f"{file}:2")
    assert found["retention"] == ("8d", "file", f"{file}:4")
    assert found["retention-dead"] == ("30d", "default", "")
    assert found["listen"] == ("127.0.0.1:7070", "default", "")
    assert found["secret-key"] == ("********", "file", f"{file}:3")
    assert found["signing-secret"] == ("********", "environment", "HOOKLINE_SIGNING_SECRET")
    assert found["root-key-file"] == ("********", "environment", "HOOKLINE_ROOT_KEY")
    assert found["etcd-password"] == ("********", "flag", "--etcd-password")
    assert "planted" not in out
    assert app.run([*line, *flags]) == 1
    captured = capsys.readouterr()
    assert "planted" not in captured.out + captured.err
    assert f"{file}:2" in captured.out
    assert app.run(line) == 0


def test_nodes_of_up_are_told_by_their_environment_and_read_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOKLINE_CONFIG", "f")
    environment = node_environment(tmp_path, NodeOptions(slots=3, secret_key="x"), ManualClock())
    assert environment["HOOKLINE_SLOTS"] == "3"
    assert "HOOKLINE_CONFIG" not in environment
