"""``hookline doctor``: what is wrong with this machine and with a running Hookline, and what to do."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from hookline.cli.doctor.examination import Examination, Subject
from hookline.cli.doctor.finding import Finding, FindingState
from hookline.cli.doctor.settings import ProcessKind, named_processes
from hookline.cli.etcd_options import DEFAULT_ETCD_ADDRESS, EtcdAddressOptions
from hookline.cli.output import Printer, print_json, stdout
from hookline.cli.parameters import AnyText, ConfigFile, Texts
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.clock import SystemClock
from hookline.visible import visible_line

if TYPE_CHECKING:
    from hookline.cli.profiles import ServicePlace

_MARKS: Final[dict[FindingState, tuple[str, str]]] = {
    "ok": ("ok", "green"),
    "advice": ("advice", "yellow"),
    "wrong": ("WRONG", "bold red"),
    "not_checked": ("-", "dim"),
}
_TIMEOUT_S: Final = 3.0
_MARK_WIDTH: Final = 8
_NAME_WIDTH: Final = 15


def doctor(
    what: ProcessKind | None = None,
    /,
    *flags: AnyText,
    config: ConfigFile = None,
    also: Annotated[Texts, Parameter(name="--also")] = None,
    quorum: EtcdAddressOptions = DEFAULT_ETCD_ADDRESS,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Look for what is wrong: settings, machine, etcd, and the Hookline that runs. Exits with 1 if something is.

    It changes nothing, and works before the first start: it checks what there is, and says what it did not check.

    For example: hookline doctor --config /etc/hookline/hookline.toml

    Or for a whole service, from anywhere: hookline doctor --url http://10.0.0.9:7000 --etcd http://10.0.0.1:2379

    Args:
        what: Whose settings on this machine; without it all that the file has a table for.
        flags: Behind --: flags of hookline serve, proxy or worker, as it would be started with.
        config: A file of settings.
        also: Url of another proxy or node that is to agree with the first; may be given again.
        quorum: Where etcd is, unless the settings say it.
        service: Where Hookline is; with --json exactly one JSON document is printed.
    """
    kinds: list[ProcessKind] = named_processes(config)
    if what is not None or flags:
        kinds = [what or "node"]
    place, is_named = _place(service)
    examination = Examination(
        Subject(
            kinds=kinds,
            config=config,
            flags=flags,
            place=place,
            is_named=is_named,
            others=[url.rstrip("/") for url in also or ()],
            etcd=None if quorum.etcd is None else quorum.address(),
            timeout_s=min(service.timeout, _TIMEOUT_S),
            clock=SystemClock(),
        )
    )
    if service.json:
        found = list(examination.findings())
        print_json({"ok": _is_well(found), "checks": found})
        return 0 if _is_well(found) else 1
    return 0 if _is_well(_shown(examination.findings())) else 1


def _place(service: Service) -> "tuple[ServicePlace, bool]":
    """The place of Hookline, and whether somebody named it."""
    from hookline.cli.profiles import profile_of
    from hookline.client.transport import API_KEY

    place = service.place()
    is_named = service.url is not None or service.profile is not None or profile_of(None) is not None
    key = place.key or os.environ.get(API_KEY, "").strip() or None
    return place._replace(url=place.url.rstrip("/"), key=key), is_named


def _shown(findings: Iterable[Finding]) -> list[Finding]:
    """Prints each as it comes, and at the end what was not checked."""
    console, found = stdout(), []
    for one in findings:
        found.append(one)
        if one.state != "not_checked":
            _show(one, console)
    _show_unchecked(found, console)
    counts = {state: sum(one.state == state for one in found) for state in _MARKS}
    wrong, told = counts["wrong"], f"{counts['ok']} in order, {counts['advice']} with advice"
    said = "nothing is wrong" if not wrong else f"{wrong} wrong"
    style = "bold red" if wrong else "bold green"
    console.print("")
    console.print(f"{said}; {told}, {counts['not_checked']} not checked", style=style, soft_wrap=True)
    return found


def _show(one: Finding, console: Printer) -> None:
    mark, style = _MARKS[one.state]
    text = visible_line(one.detail)
    console.print(f"{mark:<{_MARK_WIDTH}}{one.name:<{_NAME_WIDTH}}{text}", style=style, soft_wrap=True)
    if one.fix is not None:
        console.print(f"{'':<{_MARK_WIDTH + _NAME_WIDTH}}→ {visible_line(one.fix)}", soft_wrap=True)


def _show_unchecked(found: Iterable[Finding], console: Printer) -> None:
    """A line for each reason, with all that was not checked for it."""
    mark, style = _MARKS["not_checked"]
    reasons: dict[str, list[str]] = {}
    for one in found:
        if one.state == "not_checked":
            reasons.setdefault(one.detail, []).append(one.name)
    for why, names in reasons.items():
        text = f"{mark:<{_MARK_WIDTH}}{', '.join(names)}: {visible_line(why)}"
        console.print(text, style=style, soft_wrap=True)


def _is_well(findings: Iterable[Finding]) -> bool:
    return all(one.ok for one in findings)
