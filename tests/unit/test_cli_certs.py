"""``hookline certs``: files that others cannot read, and that nothing overwrites."""

import json
from pathlib import Path
from typing import Any

import pytest

from hookline.cli import app
from hookline.cli.new_files import write_new
from hookline.errors import InvalidConfig

Output = pytest.CaptureFixture[str]


def run(capsys: Output, *tokens: str) -> tuple[int, Any, str]:
    code = app.run(["certs", *tokens, "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else None, captured.err


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def ca(tmp_path: Path, capsys: Output) -> Path:
    assert run(capsys, "init", str(tmp_path / "ca"))[0] == 0
    return tmp_path / "ca"


def test_a_certificate_is_issued_with_all_that_its_process_needs(ca: Path, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "made" / "n1"
    issue = ("issue", "--ca", str(ca), "--name", "n1", "--host", "10.0.0.1", "--host", "n1.internal")
    code, made, _ = run(capsys, *issue, "--out", str(out), "--days", "30")
    assert (code, set(made)) == (0, {"certificate", "key", "authority"})
    assert set(contents(out)) == {"n1.pem", "n1-key.pem", "ca.pem"}
    for folder in (ca, out):
        assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())
    assert (out / "ca.pem").read_bytes() == (ca / "ca.pem").read_bytes()
    (shown,) = run(capsys, "show", str(out / "n1.pem"))[1]
    assert (shown["subject"], shown["hosts"], shown["days_left"]) == ("CN=n1", ["n1.internal", "10.0.0.1"], 29)
    assert shown["issuer"] == run(capsys, "show", str(ca / "ca.pem"))[1][0]["subject"]
    assert app.run(["certs", "show", str(out / "n1.pem")]) == 0
    told = capsys.readouterr().out
    assert "n1.internal, 10.0.0.1" in told
    assert "in 29 days" in told


def test_nothing_is_overwritten(ca: Path, tmp_path: Path, capsys: Output) -> None:
    issue = ("issue", "--ca", str(ca), "--name", "n1", "--out", str(tmp_path / "n1"))
    assert run(capsys, *issue)[0] == 0
    before = contents(tmp_path)
    for tokens in (("init", str(ca)), issue):
        code, problem, _ = run(capsys, *tokens)
        assert (code, problem["code"]) == (1, "invalid_config")
        assert "exists; nothing was written" in problem["detail"]
    (tmp_path / "n1" / "n1-key.pem").rename(tmp_path / "kept")
    assert run(capsys, *issue)[0] == 1, "one of the two is there"
    assert sorted(contents(tmp_path).values()) == sorted(before.values())


def test_two_authorities_do_not_meet_in_one_folder(ca: Path, tmp_path: Path, capsys: Output) -> None:
    assert run(capsys, "init", str(tmp_path / "other"))[0] == 0
    out = tmp_path / "n1"
    assert run(capsys, "issue", "--ca", str(ca), "--name", "n1", "--out", str(out))[0] == 0
    _, problem, _ = run(capsys, "issue", "--ca", str(tmp_path / "other"), "--name", "n2", "--out", str(out))
    assert "ca.pem is that of another authority" in problem["detail"]
    assert "n2.pem" not in contents(out)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (("issue", "--name", "../n1"), "--name is '../n1'"),
        (("issue", "--name", "n1", "--days", "0"), "--days is 0; use 1 to 825"),
        (("issue", "--name", "n1", "--host", "n1:7070"), "'n1:7070' is not a host"),
        (("issue", "--name", "n1", "--ca", "nowhere"), "there is no authority in nowhere"),
    ],
)
def test_what_cannot_be_issued_is_said_in_a_sentence(
    ca: Path, tmp_path: Path, capsys: Output, tokens: tuple[str, ...], message: str
) -> None:
    given = tokens if "--ca" in tokens else (*tokens, "--ca", str(ca))
    code, problem, _ = run(capsys, *given, "--out", str(tmp_path / "out"))
    assert code == 1
    assert message in problem["detail"]
    assert not (tmp_path / "out").exists()


def test_what_is_no_certificate_is_not_shown(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "x.pem").write_text("x")
    assert "is not a PEM file with a certificate" in run(capsys, "show", str(tmp_path / "x.pem"))[1]["detail"]
    assert run(capsys, "show", str(tmp_path / "none.pem"))[0] == 2


def test_of_new_files_there_are_all_or_none(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(InvalidConfig, match="b exists"):
        write_new({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert contents(tmp_path) == {"b": b"old"}
    write_new({tmp_path / "a": b"1", tmp_path / "c" / "d": b"2"})
    assert contents(tmp_path) == {"a": b"1", "b": b"old", "c/d": b"2"}
