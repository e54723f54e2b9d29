"""The reference of all settings, from the options themselves.

Usage: python docs/generators/configuration.py    writes docs/reference/configuration.md
"""

import re
from pathlib import Path

from cyclopts.argument import Argument

from hookline.cli.config_file import CLUSTER
from hookline.cli.parameters import default_of, form_of, is_secret
from hookline.cli.settings_reading import described

PAGE = Path(__file__).parents[1] / "reference" / "configuration.md"

_INTRODUCTION = """\
# Configuration

Written by `docs/generators/configuration.py` from the options themselves.

`hookline serve`, `proxy`, `worker` and `up` take each setting from, in this order:

1. a flag, such as `--slots 200`;
2. an environment variable, such as `HOOKLINE_SLOTS=200`;
3. the file that `--config FILE` or `HOOKLINE_CONFIG` names. Without one of these no file is read;
4. its default.

One file serves all that is started on a machine: each command reads its own tables and leaves the others alone.

| command | reads |
|---|---|
| `hookline serve` | `[node]`, `[cluster]` |
| `hookline up` | `[node]`, for all its nodes; a setting that `up` does not have is refused |
| `hookline proxy` | `[proxy]` |
| `hookline worker` | `[worker]` |

```toml
"""

EXAMPLE = """\
# /etc/hookline/hookline.toml
[node]
data-dir = "/var/lib/hookline"
listen = "10.0.0.1:7070"
node = "n1"
slots = 200
retention = "14d"                       # as in flags: 7d, 1h30m, or a number of seconds
allow-destinations = ["10.2.0.0/16", "*.svc.cluster.local"]
root-key-file = "/etc/hookline/root.key"
secret-key-file = "/etc/hookline/secret.key"

[cluster]
etcd = ["https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"]

[proxy]
listen = "10.0.0.1:7000"
seed = ["http://10.0.0.1:7070", "http://10.0.0.2:7070"]
root-key-file = "/etc/hookline/root.key"

[worker]
cluster = ["http://10.0.0.1:7070", "http://10.0.0.2:7070"]
secret-key-file = "/etc/hookline/secret.key"
"""

_RULES = """\
```

- Names are those of the flags, with `-` or `_`. What takes several values separated by commas is a list here.
- What the file has and the command does not know is an error, which names file, line, and the nearest known name.
- Secrets belong into files of their own, which `…-file` names, or into the environment. A secret in the file itself is
  refused unless its owner alone may read the file (`chmod 600`).
- `new-cluster` is not in the file: it is said once, by hand.

`hookline config check --config FILE` tells all that is wrong with a file, and warns of what fits badly; its exit code
is 1 if anything is wrong. `hookline config show node --config FILE` shows what holds, and where it comes from; flags
that the process would be started with follow behind `--`.

`hookline login` keeps its profiles elsewhere: `HOOKLINE_PROFILES` names that file.
"""

_TITLES = {
    "node": "A node: `hookline serve`",
    CLUSTER: "The cluster of a node: `hookline serve`",
    "proxy": "A proxy: `hookline proxy`",
    "worker": "A worker: `hookline worker`",
}


def render() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION + EXAMPLE + _RULES]
    found: dict[str, list[str]] = {table: [] for table in _TITLES}
    for command in ("serve", "proxy", "worker"):
        for (table, name), argument in described(command).items():
            if name not in ("config", "new-cluster"):
                found[table].append(_row(name, argument))
    for table, title in _TITLES.items():
        head = (f"## `[{table}]`", "", f"{title}.", "")
        columns = ("| setting | takes | default | environment | meaning |", "|---|---|---|---|---|")
        parts.append("\n".join([*head, *columns, *found[table]]) + "\n")
    return "\n".join(parts)


def _row(name: str, argument: Argument) -> str:
    help_text = re.sub(r" \[.+\]$", "", " ".join((argument.parameter.help or "").split()))
    default = default_of(argument)
    cells = (
        f"`{name}`",
        "secret" if is_secret(argument) else form_of(argument),
        ("has to be given" if argument.required else "") if default is None else f"`{default}`",
        " ".join(f"`{one}`" for one in argument.parameter.env_var or ()),
        help_text.replace("|", "\\|").replace("*", "\\*"),
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
