"""`pip install .` alone brings the SDK and verify, small, and nothing that some systems lack."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIZE_MAX = 20_000_000
UV = str(Path(sys.executable).with_name("uv"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and what it asks for."""
    venv = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", venv / "bin" / "python", wheel], check=True)
    return venv


def run(venv: Path, code: str) -> str:
    python = venv / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON"))}
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_is_small(bare: Path) -> None:
    (packages,) = bare.glob("lib/python*/site-packages")
    sizes = {
        file: file.stat().st_size
        for file in packages.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("_virtualenv")
    }
    assert sum(sizes.values()) < SIZE_MAX, sorted(sizes.items(), key=lambda item: -item[1])[:10]


def test_the_wheel_has_the_dashboards_files_and_their_licences(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    vendored = {name for name in names if "/assets/vendor/" in name}
    for library in ("htmx-", "uplot-"):
        assert any(library in name and name.endswith(".min.js") for name in vendored)
        assert any(library in name and name.endswith(".LICENSE") for name in vendored)
        assert any(library in name and "/licenses/" in name for name in names)
    assert "hookline/dashboard/templates/layout.html" in names


def test_the_sdk_and_verify_work_without_the_server(bare: Path) -> None:
    code = (
        "import hookline, inspect; from hookline import *; from hookline import errors\n"
        "with Client('http://127.0.0.1:1', retries=0, timeout=1) as client:\n"
        "    try: client.health()\n"
        "    except ConnectionFailed: pass\n"
        "try: verify(b'', {'webhook-id': 'a', 'webhook-timestamp': '1', 'webhook-signature': 'v1,x'},"
        " 'whsec_' + 'A' * 32, now=1)\n"
        "except InvalidSignature as error: print(error)\n"
    )
    assert run(bare, code).startswith("No signature matches")


def test_nothing_is_imported_that_windows_lacks(bare: Path) -> None:
    # As there: the modules are missing, and so are fork and the boot clock.
    code = (
        "import sys, os, time\n"
        "for name in ('fcntl', 'resource', 'pwd', 'grp', 'termios', 'uvloop'): sys.modules[name] = None\n"
        "for name in ('fork', 'register_at_fork'): delattr(os, name)\n"
        "del time.CLOCK_BOOTTIME\n"
        "import hookline\n"
        "for name in hookline.__all__: getattr(hookline, name)\n"
        "from hookline.clock import SystemClock\n"
        "print(SystemClock().boot_ms() > 0)\n"
    )
    assert run(bare, code) == "True"


def test_all_that_is_asked_for_has_a_wheel_for_windows(wheel: Path) -> None:
    options = ("--quiet", "--python-platform", "windows", "--only-binary", ":all:")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        lines = archive.read(name).decode().splitlines()
    wanted = [
        line.removeprefix("Requires-Dist: ")
        for line in lines
        if line.startswith("Requires-Dist") and "extra ==" not in line
    ]
    assert {line.split(">")[0] for line in wanted} == {"httpx2", "msgspec"}
    command = [UV, "pip", "compile", *options, "-"]
    found = subprocess.run(command, input="\n".join(wanted), capture_output=True, text=True, check=True).stdout
    assert "uvloop" not in found


def test_an_ed25519_key_says_what_to_install(bare: Path) -> None:
    code = (
        "from hookline import verify, errors\n"
        "try: verify(b'', {}, 'whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=')\n"
        "except errors.ExtraMissing as error: print(error)\n"
    )
    assert "pip install 'hookline[ed25519]'" in run(bare, code)


@pytest.mark.parametrize(
    "wanted",
    ["from hookline.testing import BlockingNode", "from hookline.testing import *", "import hookline.testing.node"]
    + [f"import hookline.testing.{module}" for module in ("blocking", "receiver", "assembly")],
)
def test_a_node_for_tests_says_what_to_install(bare: Path, wanted: str) -> None:
    code = f"try: exec({wanted!r})\nexcept ImportError as error: print(error)\n"
    assert run(bare, code).endswith("pip install 'hookline[server]'")


def test_what_a_receivers_test_signs_with_needs_no_server(bare: Path) -> None:
    assert run(bare, "from hookline.testing import sign; print(bool(sign(b'', 'whsec_' + 'A' * 32)))") == "True"


def test_the_command_says_in_one_sentence_what_to_install(bare: Path) -> None:
    done = subprocess.run([bare / "bin" / "hookline", "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'hookline[server]'" in done.stderr


def test_with_cli_alone_the_commands_for_a_service_work_and_the_others_say_what_to_install(
    bare: Path, wheel: Path, tmp_path: Path
) -> None:
    venv = tmp_path / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", str(venv / "bin" / "python"), f"{wheel}[cli]"]
    subprocess.run(install, check=True)

    def hookline(*tokens: str) -> tuple[int, str]:
        done = subprocess.run([venv / "bin" / "hookline", *tokens], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert hookline("--help")[0] == 0
    for group in ("jobs", "schedules", "destinations", "cluster", "topology", "secret"):
        assert hookline(group, "--help")[0] == 0, group
    for asking in (("jobs", "list"), ("logs", "j1"), ("top", "--once")):
        code, said = hookline(*asking, "--url", "http://127.0.0.1:1", "--http-timeout", "0.1")
        assert (code, "connection_failed" in said) == (1, True), said
    code, said = hookline("doctor", "--url", "http://127.0.0.1:1")
    assert (code, "1 wrong" in said, "Traceback" in said) == (1, True, False), said
    assert hookline("secret", "new", "--ed25519")[0] == 0
    for command in (("up",), ("serve", "--data-dir", "d"), ("proxy", "--seed", "http://127.0.0.1:1"), ("listen",)):
        code, said = hookline(*command)
        assert (code, "pip install 'hookline[server]'" in said, "Traceback" in said) == (1, True, False), said
