"""The reference of the command line, from the commands themselves.

Usage: python docs/generators/cli.py    writes docs/reference/cli.md
"""

from pathlib import Path

from hookline.cli.app import app

PAGE = Path(__file__).parents[1] / "reference" / "cli.md"

_INTRODUCTION = """\
# Command line

Written by `docs/generators/cli.py` from the commands themselves; `--help` on any of them says the same.

- Results go to stdout, everything else (progress, warnings, errors, logs) to stderr.
- `--json` makes a command print exactly one JSON document on stdout, also when it fails: then it is the
  [problem document](https://www.rfc-editor.org/rfc/rfc9457) of the error. `listen --json` prints one object for each
  request it receives.
- Exit codes: 0 done · 1 Hookline or the job said no · 2 the command was called wrongly · 130 interrupted ·
  141 whoever read the output has gone.
- Colours are left out when the output is not a terminal or `NO_COLOR` is set.
- Ids, files and expressions may begin with a hyphen. One that reads like an option (`-y2` where there is `-y`, or
  `--x`) is refused; it goes behind `--`, with all options before.
- Texts are UTF-8; only `--data` and `--body` take other bytes. A file that is read whole has at most 64 MiB.
- A closed stdout is refused before anything is done; send the output to `/dev/null` if you do not want it. When a
  result cannot be written, the exit code is 1, though the command may have done its work.
- No input is to cause a traceback. A fault of the command itself is told as `internal`; `HOOKLINE_TRACEBACK=1` shows
  where.
- Options with `env:` can come from the environment instead. `HOOKLINE_URL` says where Hookline is.
- `eval "$(hookline completion bash)"` (or `zsh`, `fish`) lets the shell complete commands and options.

"""


def render() -> str:
    """The page as Markdown."""
    text = app.generate_docs(output_format="markdown")
    _, _, commands = text.partition("## hookline up")
    lines = [line.rstrip() for line in f"## hookline up{commands}".splitlines()]
    return _INTRODUCTION + "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
