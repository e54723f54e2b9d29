"""The pages about the command line and the SDK say what the code does."""

import re
import shlex
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import hookline
from docs.generators import cli
from hookline.cli.app import app
from hookline.cli.node_options import NodeOptions
from hookline.dashboard.oidc.settings import OidcSettings
from hookline.node.config import NodeConfig
from hookline.protocol.durations import format_duration

DOCS = Path(__file__).parents[2] / "docs"
SDK = (DOCS / "reference" / "python-sdk.md").read_text(encoding="utf-8")


def test_the_reference_of_the_command_line_is_up_to_date() -> None:
    assert cli.PAGE.read_text(encoding="utf-8") == cli.render(), "run: python docs/generators/cli.py"


def test_defaults_named_in_the_help_are_the_real_ones() -> None:
    pages = "\n".join(one.__doc__ or "" for one in NodeOptions.__mro__ if one is not object)
    named = dict(re.findall(r"^ +(\w+): .*\[(.+)\]$", pages, re.MULTILINE))
    real = {field.name: field.default for field in fields(NodeConfig) if field.default is not MISSING}
    real |= {f"oidc_{field.name}": field.default for field in fields(OidcSettings)}
    for option, text in named.items():
        default = real.get(option, real.get(f"{option}_ms"))
        if f"{option}_ms" in real:
            assert isinstance(default, int)
            assert text in (format_duration(default), f"{default // 3_600_000}h"), option
        elif text == "auto":  # the command line chooses by the machine; a node in a program has none beside it
            assert (option.endswith("_processes"), default) == (True, 0), option
        elif isinstance(default, frozenset):
            assert text == ",".join(str(port) for port in sorted(default)), option
        elif isinstance(default, tuple):
            assert text == ",".join(default), option
        else:
            assert text == str(default), option
    assert len(named) >= 14


@pytest.mark.parametrize("name", sorted(name for name in vars(hookline.Client) if not name.startswith("_")))
def test_every_method_of_the_sdk_is_described(name: str) -> None:
    assert name == "close" or f"`{name}(" in SDK


def test_every_exported_error_is_described() -> None:
    for name in hookline.__all__:
        kind = getattr(hookline, name)
        if isinstance(kind, type) and issubclass(kind, hookline.HooklineError):
            assert f"`{name}`" in SDK


def _commands(page: Path) -> list[str]:
    """The lines of its console blocks that call hookline."""
    blocks = re.findall(r"```(?:console|sh)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("hookline ") and "…" not in line]


WRITTEN = [DOCS.parent / "README.md", *sorted(set(DOCS.rglob("*.md")) - {cli.PAGE})]
PAGES = [page for page in WRITTEN if _commands(page)]


def _python(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", [page for page in WRITTEN if _python(page)], ids=lambda page: page.stem)
def test_python_in_the_pages_compiles(page: Path) -> None:
    for block in _python(page):
        compile(block, str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_command_in_the_pages_is_one(page: Path) -> None:
    for line in _commands(page):
        tokens = [token for token in shlex.split(line.partition("|")[0], comments=True) if token != "&"]
        app.parse_args(tokens[1:], exit_on_error=False, print_error=False)  # raises CycloptsError


@pytest.mark.parametrize(
    "command", ["jobs create", "schedules create", "destinations set", "up", "serve", "listen"], ids=str
)
def test_the_help_of_what_is_used_first_shows_an_example_that_is_a_command(command: str) -> None:
    parsed = app.parse_commands(command.split())[1][-1]
    text = parsed.default_command.__doc__ or ""
    paragraphs = [" ".join(part.split()) for part in text.partition("Args:")[0].split("\n\n")]
    examples = [part[part.index("hookline ") :] for part in paragraphs if f": hookline {command}" in part]
    assert examples
    for line in examples:
        app.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)
