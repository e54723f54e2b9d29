"""`hookline up` says a few words beside its "ready" line."""

import asyncio
import json
from pathlib import Path

import pytest
import structlog

from hookline.cli import process
from hookline.cli.first_words import first_commands, say_ready
from hookline.cli.stack.supervisor import running_at
from hookline.node.config import NodeConfig
from hookline.telemetry.logs import HeldLines, configure_logs
from tests.scripted_server import Answer, scripted_server

SLOTS = {"used": 3, "limit": 100}


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("::1", False), ("localhost", False)])
def test_nobody_is_warned_of_an_address_that_only_this_machine_reaches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str, warns: bool
) -> None:
    process.warn_of_reach(NodeConfig(data_dir=tmp_path, host=host), is_for_all=True)
    assert bool(capsys.readouterr().err) is warns


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "shop.internal"])
def test_an_address_that_others_reach_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    process.warn_of_reach(NodeConfig(data_dir=tmp_path, host=host, no_auth=True), is_for_all=True)
    assert f"listens at {host}, and asks nobody for a key" in capsys.readouterr().err


@pytest.mark.parametrize("private", [True, False])
def test_the_first_command_is_one_that_works_here(
    tmp_path: Path, private: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOKLINE_URL", raising=False)
    config = NodeConfig(data_dir=tmp_path, allow_private_destinations=private)
    lines = first_commands(config, "http://127.0.0.1:7999")
    assert lines[0].startswith("hookline listen") is private
    assert lines[-1].endswith("--url http://127.0.0.1:7999")
    assert "--url" not in first_commands(config, "http://127.0.0.1:7070")[-1]
    monkeypatch.setenv("HOOKLINE_URL", "http://127.0.0.1:7999")
    assert "--url" not in first_commands(config, "http://127.0.0.1:7999")[-1]


def test_the_first_words_say_where_things_are_and_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = NodeConfig(data_dir=tmp_path)
    say_ready(config, "http://0.0.0.0:7070", [("nodes", ["n1  http://127.0.0.1:7070", "n2  http://127.0.0.1:7071"])])
    shown = capsys.readouterr()
    assert shown.out == "ready http://0.0.0.0:7070\n"
    assert shown.err.splitlines() == [
        "nodes  n1  http://127.0.0.1:7070",
        "       n2  http://127.0.0.1:7071",
        f"data   {tmp_path}",
        "see    http://127.0.0.1:7070/dashboard",
        "API    http://127.0.0.1:7070/docs",
        """try    hookline jobs create https://YOUR.HOST/hook --data '{"n": 1}'""",
        "stop   Ctrl-C",
    ]


def test_the_first_words_name_no_dashboard_that_is_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say_ready(NodeConfig(data_dir=tmp_path), "http://127.0.0.1:7070", dashboard="off")
    assert "/dashboard" not in capsys.readouterr().err


def test_the_first_words_say_that_a_key_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say_ready(NodeConfig(data_dir=tmp_path, root_key="r" * 16), "http://127.0.0.1:7070")
    shown = capsys.readouterr().err
    assert "key   export HOOKLINE_API_KEY=" in shown
    assert "rrrr" not in shown


def test_what_is_logged_while_a_node_starts_comes_after_the_first_words(capsys: pytest.CaptureFixture[str]) -> None:
    held = HeldLines()
    configure_logs(as_json=True, level="debug", held=held)
    try:
        log = structlog.get_logger()
        log.info("term_began", term=1)
        log.debug("more")
        log.warning("clock_jumped")
        assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["clock_jumped"]
        held.let_go()
        log.info("later")
        held.let_go()
    finally:
        structlog.reset_defaults()
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["term_began", "more", "later"]


@pytest.mark.parametrize(
    ("running", "said"),
    [
        (0, ""),
        (1, "waiting for 1 attempt, Ctrl-C again to force\n"),
        (7, "waiting for 7 attempts, Ctrl-C again to force\n"),
    ],
)
def test_the_end_says_what_it_waits_for(capsys: pytest.CaptureFixture[str], running: int, said: str) -> None:
    process.say_waiting(running)
    assert capsys.readouterr().err == said


def test_the_attempts_of_all_nodes_are_counted_and_a_silent_one_holds_nothing_up() -> None:
    with scripted_server() as server:
        server.answers = [Answer(503, {"status": "unavailable", "role": "leader", "usage": {"slots": SLOTS}})]
        assert asyncio.run(running_at([server.url, server.url, "http://127.0.0.1:1"])) == 6
        server.answers = [Answer(200, {"hello": "world"})]
        assert asyncio.run(running_at([server.url])) == 0
