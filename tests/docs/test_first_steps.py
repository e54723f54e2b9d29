"""The README and the first tutorial, followed: nothing runs before, the reader starts all of it."""

import sys
from pathlib import Path

from tests.docs.here import Here
from tests.docs.pages import ROOT
from tests.docs.reader import Reader
from tests.end_to_end.processes import until

UV = Path(sys.executable).with_name("uv")


def test_the_readme(tmp_path: Path) -> None:
    words = {
        "make demo": f"make --no-print-directory -C {ROOT} demo",
        "pip install '.[server]'": "hookline --version",  # the tutorial installs it
        "--delay 5s": "--delay 100ms",
        '"delay": "5s"': '"delay": "100ms"',
        "apt-get install etcd-server": "etcd --version",
    }
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Reader("README.md", tmp_path / "reader", Here(words), TMPDIR=str(scratch)) as page:
        page.follow("How it works")
        assert '"state":"pending"' in page.shown
        until(lambda: page.served("hookline listen").shown().count('{"order": 1234}') >= 2, "the orders arrive")
        assert not [path for path in scratch.iterdir() if path.is_dir()], "the demo leaves nothing"
        page.served("hookline up").signal()
        page.follow()
        until(lambda: "n3" in page.run("hookline cluster show"), "the leader has heard of all three")
        page.served("hookline up").signal()


def test_the_first_webhook(tmp_path: Path) -> None:
    words = {
        "python3 -m venv": f"{UV} venv --quiet --python {sys.executable}",
        "pip install '.[server]'": f"{UV} pip install --quiet '{ROOT}[server]'",
    }
    with Reader("docs/tutorial/first-webhook.md", tmp_path / "reader", Here(words)) as page:
        page.follow("Let a schedule send more")
        before = page.run("hookline jobs list -o ids")
        page.served("hookline up").signal()
        assert not page.served("hookline up").is_running()
        page.run("hookline up --allow-private-destinations")
        assert page.run("hookline jobs list -o ids") == before, "all are still there"
        page.follow()
        assert "missing" in page.shown, "it says why the forged one is refused"
        for server in ("hookline listen", "hookline up"):
            page.served(server).signal()
        page.run("rm -r hookline-data secret.txt")
