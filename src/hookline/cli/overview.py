"""The commands there are, and the page that ``hookline --help`` shows: without what the commands themselves need."""

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

HELP = """Delivers HTTP calls now, later or on a schedule, and never loses one."""
_BEGIN = (
    "hookline up --allow-private-destinations",
    "hookline listen",
    """hookline jobs create http://127.0.0.1:9000/hello --data '{"n": 1}' --wait""",
)
_OPTIONS = (("--help (-h)", "Display this message and exit."), ("--version", "Display application version."))
_WIDTH_MAX = 100
_INDENT = 14


class CliEntry(NamedTuple):
    """One command or group: ``place`` is module:name in this folder."""

    name: str
    place: str
    help: str


COMMANDS = (
    CliEntry(
        "up",
        "up:up",
        'Run Hookline on this machine. Prints "ready URL" when it serves; SIGTERM or Ctrl-C stops everything.',
    ),
    CliEntry(
        "serve", "serve:serve", 'Run one node. Prints "ready URL" when it serves; SIGTERM or Ctrl-C stops it cleanly.'
    ),
    CliEntry(
        "proxy",
        "proxy:proxy",
        'Run one proxy. Prints "ready URL" when it serves; SIGTERM or Ctrl-C lets it finish what is under way.',
    ),
    CliEntry(
        "worker",
        "worker:worker",
        'Run one worker, which makes attempts for a cluster. Prints "ready URL" when it works; '
        "SIGTERM or Ctrl-C lets it finish what is under way.",
    ),
    CliEntry(
        "config",
        "configuration:app",
        "Which settings hold, where they come from, and whether they go together.",
    ),
    CliEntry(
        "top",
        "top.command:top",
        "Watch clusters and destinations at work: lag, throughput, success, backlog, what fails.",
    ),
    CliEntry(
        "doctor",
        "doctor.command:doctor",
        "Look for what is wrong: settings, machine, etcd, and the Hookline that runs. Exits with 1 if something is.",
    ),
    CliEntry("listen", "listen:listen", "Receive webhooks, verify their signatures and print them. Ctrl-C ends it."),
    CliEntry(
        "watch",
        "watch:watch",
        "Print what happens to jobs as it happens: made, tried, succeeded, dead. Ctrl-C ends it.",
    ),
    CliEntry("jobs", "jobs:app", "Make, look at and change jobs."),
    CliEntry(
        "logs",
        "logs:logs",
        "Tell a job's story: when it was made, each attempt with its answer, how long it waited and why, and what is "
        "next.",
    ),
    CliEntry("schedules", "schedules:app", "Make, look at and change schedules."),
    CliEntry("destinations", "destinations:app", "Limits, pauses and signing secrets of the hosts that are called."),
    CliEntry("cluster", "cluster:app", "Who leads, whether it is fit to take jobs, and whose log etcd holds."),
    CliEntry(
        "topology",
        "topology:app",
        "Which clusters there are, where ids go, and what moves by a change. Asks a proxy.",
    ),
    CliEntry(
        "export",
        "archiving:export",
        "Write jobs as they are as JSON lines, to keep what a cluster has before it is switched off.",
    ),
    CliEntry(
        "backup",
        "backup:backup",
        "Copy the state of a running node into a file, while it works. "
        "Ask a follower, and the leader has no work with it.",
    ),
    CliEntry(
        "restore",
        "backup:restore",
        "Check a backup and make it the state of a new node, which must not run yet.",
    ),
    CliEntry(
        "state", "state:app", "Look into the state of a stopped node, or one that was kept aside, and get jobs back."
    ),
    CliEntry(
        "keys", "keys:app", "API keys: who may call, and what. Needs a key with the scope admin, as the root key is."
    ),
    CliEntry("tenants", "tenants:app", "Limits of tenants, and their shares of the slots. Needs an operator's key."),
    CliEntry(
        "audit",
        "audit:audit",
        "Show who changed keys, topology, destinations or the cluster, or many jobs at once; the newest first.",
    ),
    CliEntry(
        "login",
        "login:login",
        "Keep the address and an API key in your config file, for the commands that follow.",
    ),
    CliEntry(
        "certs", "certs:app", "Make the certificates of nodes, proxies and clients, for those who have no authority."
    ),
    CliEntry(
        "bench",
        "bench.command:bench",
        "Create jobs at a steady rate, receive them, and say how fast and how exact Hookline was.",
    ),
    CliEntry(
        "plan",
        "plan.command:plan",
        "Say how many clusters, nodes, slots, cores, memory and disk a load needs, and what that costs a month.",
    ),
    CliEntry("secret", "secret:app", "Make keys to sign and verify webhooks with."),
    CliEntry(
        "completion",
        "completion:completion",
        'Print the completion script of a shell, for instance: eval "$(hookline completion bash)".',
    ),
)


def is_asked(tokens: Sequence[str]) -> bool:
    """Whether the call asks for this page."""
    return list(tokens) in ([], ["help"], ["--help"], ["-h"])


def show() -> None:
    """Print the page, as wide as the terminal is. Raises OSError."""
    from shutil import get_terminal_size

    sys.stdout.write("\n".join(_lines(min(get_terminal_size().columns, _WIDTH_MAX))) + "\n")
    sys.stdout.flush()


def _lines(width: int) -> Iterator[str]:
    from textwrap import wrap

    yield "Usage: hookline COMMAND"
    yield ""
    yield from wrap(HELP, width)
    yield ""
    yield "Begin with:"
    yield from (f"  {line}" for line in _BEGIN)
    yield ""
    yield "Commands:"
    for command in COMMANDS:
        yield from _entry(command.name, command.help, width)
    yield ""
    yield "Options:"
    for name, text in _OPTIONS:
        yield from _entry(name, text, width)
    yield ""
    yield "More about a command: hookline help jobs create"


def _entry(name: str, text: str, width: int) -> list[str]:
    from textwrap import wrap

    indent = " " * (_INDENT + 2)
    return wrap(f"  {name:<{_INDENT}}{text}", max(width, 40), subsequent_indent=indent, break_on_hyphens=False)
