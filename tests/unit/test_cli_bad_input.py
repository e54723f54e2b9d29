"""Bad input to every command there is: one clear error on stderr, the right exit code, and nothing asked of a service.

Commands and their options are found in the app itself, so a new command is tried without being named here.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from cyclopts.argument import Argument

from hookline.cli import app
from tests import scripted_server as served
from tests.scripted_server import Answer, ScriptedServer, scripted_server

pytestmark = pytest.mark.uncovered

Run = Callable[..., tuple[int, str, str]]
NOT_TEXT = "\udcff"  # a byte of argv that is not UTF-8, as Python keeps it


def commands(root: App, *path: str) -> Iterator[tuple[tuple[str, ...], list[Argument]]]:
    for name in root:
        if not name.startswith("-"):
            yield from commands(root[name], *path, name)
    if path and root.default_command:
        yield path, [one for one in root.assemble_argument_collection() if one.parse]


COMMANDS = list(commands(app.app))
EACH_COMMAND = pytest.mark.parametrize(("path", "arguments"), COMMANDS, ids=["-".join(path) for path, _ in COMMANDS])


def is_positional(argument: Argument) -> bool:
    return argument.field_info.kind is not argument.field_info.KEYWORD_ONLY and not argument.keys


def needed(arguments: list[Argument], but: Argument | None = None) -> list[str]:
    """Words for what a command cannot do without, ``but`` one."""
    words = []
    for one in arguments:
        if one.required and one is not but:
            words += ["x"] if is_positional(one) else [one.name, "x"]
    return words


def given(argument: Argument, value: str) -> list[str]:
    return [value] if is_positional(argument) else [f"{argument.name}={value}"]


def ways(arguments: list[Argument], kinds: tuple[type, ...], value: str) -> Iterator[list[str]]:
    """A call for each argument of one of the kinds, with that value there."""
    for one in arguments:
        options = getattr(one.hint, "__args__", (one.hint,))
        if one.hint in kinds or any(kind in options for kind in kinds):
            yield [*given(one, value), *needed(arguments, but=one)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedServer]:
    monkeypatch.chdir(tmp_path)
    with scripted_server() as server:
        server.script = lambda _: Answer(200, served.job())
        monkeypatch.setenv("HOOKLINE_URL", server.url)
        yield server


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*tokens: str) -> tuple[int, str, str]:
        code = app.run(tokens)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def refused(server: ScriptedServer, told: tuple[int, str, str], tokens: list[str]) -> None:
    code, out, err = told
    assert (code, out) == (2, ""), tokens
    assert err.startswith("error: "), tokens
    assert not {"\x1b", "\x07", NOT_TEXT} & set(err), tokens
    assert len(err) < 1_000, tokens
    assert server.asked == [], tokens


@EACH_COMMAND
def test_an_unknown_option_is_named(
    server: ScriptedServer, run: Run, path: tuple[str, ...], arguments: list[Argument]
) -> None:
    tokens = [*path, *needed(arguments), "--nope\x1b[31m"]
    refused(server, run(*tokens), tokens)


@EACH_COMMAND
def test_bytes_that_are_no_text_are_refused(
    server: ScriptedServer, run: Run, path: tuple[str, ...], arguments: list[Argument]
) -> None:
    for words in ways([one for one in arguments if one.name not in ("--data", "--body")], (str, Path), NOT_TEXT):
        refused(server, run(*path, *words), [*path, *words])


@EACH_COMMAND
def test_an_empty_path_is_no_directory(
    server: ScriptedServer, run: Run, path: tuple[str, ...], arguments: list[Argument]
) -> None:
    for words in ways(arguments, (Path,), ""):
        refused(server, run(*path, *words), [*path, *words])


@EACH_COMMAND
@pytest.mark.parametrize("value", ["", "x", "1e", "a" * 100_000, "\x1b]0;x\x07"])
def test_what_is_no_number_is_refused(
    server: ScriptedServer, run: Run, path: tuple[str, ...], arguments: list[Argument], value: str
) -> None:
    for words in ways(arguments, (int, float), value):
        refused(server, run(*path, *words), [*path, *words])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e400", "99999999999999999999"])
@pytest.mark.parametrize("option", ["jobs create http://a.example/ --wait-timeout", "jobs watch j1 --interval"])
def test_seconds_that_nobody_can_wait_are_refused_before_anything_is_done(
    server: ScriptedServer, run: Run, option: str, value: str
) -> None:
    tokens = f"{option}={value}".split(" ")
    refused(server, run(*tokens), tokens)


def test_a_limit_is_a_number_of_jobs(server: ScriptedServer, run: Run) -> None:
    tokens = ["jobs", "list", f"--limit={10**23}"]
    refused(server, run(*tokens), tokens)


@EACH_COMMAND
def test_a_flag_is_not_glued_to_an_id(
    server: ScriptedServer, run: Run, path: tuple[str, ...], arguments: list[Argument]
) -> None:
    for flag in (name for one in arguments if one.hint is bool for name in one.names if len(name) == 2):
        tokens = [*path, f"{flag}2"]
        told = run(*tokens)
        refused(server, told, tokens)
        assert f"-- {flag}2" in told[2], "the error says how to name such an id"


def test_an_id_like_a_flag_can_be_named(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: Answer(204)
    assert run("schedules", "delete", "-y", "--", "-y2")[0] == 0
    assert run("schedules", "delete", "-2", "-y")[0] == 0
    assert [asked.path for asked in server.asked] == ["/schedules/-y2", "/schedules/-2"]


@pytest.mark.parametrize(
    "line",
    [
        "topology validate FILE",
        "topology apply FILE",
        "jobs create http://a.example/ --data @FILE",
        "jobs create http://a.example/ --body @FILE",
        "jobs import FILE",
    ],
)
@pytest.mark.parametrize("file", ["/dev/zero", "/proc/self/mem", ".", "missing"])
def test_a_file_without_an_end_or_that_cannot_be_read_is_refused(
    server: ScriptedServer, run: Run, line: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookline.cli.inputs._FILE_BYTES_MAX", 1_000)
    monkeypatch.setattr("hookline.cli.importing._LINE_BYTES_MAX", 1_000)
    code, out, err = run(*line.replace("FILE", file).split(" "))
    assert (code, out) == (1 if line.startswith("topology") else 2, "")
    assert "error: " in err
    assert server.asked == []


def test_an_import_that_ends_early_says_how_far_it_came(
    server: ScriptedServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookline.cli.importing._BATCH_JOBS", 1)
    monkeypatch.setattr("hookline.cli.importing._LINE_BYTES_MAX", 100)
    names = ("id", "url", "method", "state", "run_at", "guarantee")
    made = {name: served.job()[name] for name in names}
    server.script = lambda _: Answer(200, {"results": [{"status": 201, "job": made}]})
    file = tmp_path / "jobs"
    file.write_bytes(b'{"url":"http://a.example/"}\n' + b"x" * 1_000)
    code, _, err = run("jobs", "import", str(file))
    assert code == 2
    assert "created 1" in err
    assert "line 2 has more than 100 bytes" in err
    server.script = lambda _: Answer(200, {"results": []})
    file.write_bytes(b'{"url":"http://a.example/"}\n')
    code, _, err = run("jobs", "import", str(file))
    assert code == 1
    assert "gave 0 results for 1 jobs" in err


@pytest.mark.parametrize("key", ["\x1b]0;x\x07", "a\nb"])
def test_a_key_that_no_header_can_carry_is_refused(server: ScriptedServer, run: Run, key: str) -> None:
    code, out, err = run("jobs", "create", "http://a.example/", f"--key={key}")
    assert (code, out) == (1, "")
    assert "code: invalid_header" in err
    assert server.asked == []


def test_a_filter_too_long_for_a_url_is_refused(server: ScriptedServer, run: Run) -> None:
    code, out, err = run("jobs", "list", "--label", "a" * 100_000)
    assert (code, out) == (1, "")
    assert "code: invalid_request" in err
    assert server.asked == []


def test_a_list_that_goes_round_in_a_circle_ends(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: Answer(200, {"data": [], "next_cursor": "x"})
    code, _, err = run("schedules", "list")
    assert code == 1
    assert "the same page" in err


def test_the_job_of_a_schedule_may_be_anything(server: ScriptedServer, run: Run) -> None:
    odd: dict[str, Any] = served.schedule() | {"job": {"url": {"a": 1}}}
    server.script = lambda _: Answer(200, {"data": [odd], "next_cursor": None})
    assert run("schedules", "list")[0] == 0


@pytest.mark.parametrize(
    "words", [["--port=70000"], ["--port=-1"], [f"--port={10**20}"], ["--host="], ["--host=a\x00b"], ["--host=a..b"]]
)
def test_an_address_that_is_none_is_not_listened_at(run: Run, words: list[str]) -> None:
    code, out, err = run("listen", *words)
    assert (code, out) == (1, "")
    assert "cannot listen" in err


@pytest.mark.parametrize("url", ["", "x", "http://", "http://[", "ftp://a:1", "http://a:x"])
def test_a_seed_is_a_url(server: ScriptedServer, run: Run, url: str) -> None:
    tokens = ["proxy", "--listen=127.0.0.1:0", f"--seed={url}"]
    refused(server, run(*tokens), tokens)


def test_what_nobody_foresaw_is_told_without_a_traceback(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr("hookline.cli.render.job_facts", fails)
    code, out, err = run("jobs", "get", "j1")
    assert (code, out) == (1, "")
    assert "ZeroDivisionError: odd" in err
    assert "code: internal" in err
    monkeypatch.setenv("HOOKLINE_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        app.run(["jobs", "get", "j1"])


@pytest.mark.parametrize("command", [["watch"], ["listen"], ["logs", "j1", "--follow"], ["top"]], ids=lambda it: it[0])
@pytest.mark.parametrize("interval", ["0", "0.05", "nan", "-1"])
def test_nobody_looks_at_a_server_all_the_time(
    command: list[str], interval: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run([*command, "--interval", interval]) == 2
    assert "interval" in capsys.readouterr().err.lower()
