"""Turns templates and values into HTML. All that is not of a template is written out and escaped, wherever it stands.

Characters that change how other text is shown are written as in Python (``hookline.visible``); then Jinja escapes what
HTML would take for markup. No template can leave that out: it happens to every value.
"""

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from hookline.client.answers import RecentAttempts
from hookline.dashboard.assets import asset_path
from hookline.visible import visible

_TEMPLATES: Final = files(__package__).joinpath("templates")
_STEPS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_STATES: Final = {
    "pending": "waits",
    "running": "runs",
    "succeeded": "good",
    "dead": "bad",
    "cancelled": "off",
    "unknown": "odd",
    "success": "good",
    "retryable_failure": "odd",
    "permanent_failure": "bad",
    "closed": "good",
    "open": "bad",
    "half_open": "odd",
    "ok": "good",
    "up": "good",
    "down": "bad",
    "degraded": "odd",
    "unavailable": "bad",
    "paused": "off",
    "moving": "runs",
    "aborting": "odd",
    "active": "good",
    "leader": "good",
    "follower": "waits",
}


def _shown(value: Any) -> Any:
    """As it may be shown; what is markup of ours stays."""
    if value is None:
        return "–"
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def time_html(value: datetime | None, now: datetime) -> Markup:
    """A time as people say it, "3 min ago"; the exact one is there for whoever points at it, or reads it aloud."""
    if value is None:
        return Markup("–")
    exact = f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    away = value - now
    text = f"in {span(away)}" if away > timedelta(0) else f"{span(-away)} ago"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(value.isoformat(), exact, text)


def exact_html(value: datetime | None, now: datetime) -> Markup:
    """The exact time, and how far away it is."""
    if value is None:
        return Markup("–")
    shown = f"{value:%Y-%m-%d %H:%M:%S}" + (" UTC" if value.utcoffset() == timedelta(0) else f" {value:%z}")
    return Markup('<time datetime="{}">{}</time> <span class="soft">{}</span>').format(
        value.isoformat(), shown, time_html(value, now)
    )


def span(length: timedelta) -> str:
    """A length of time in its largest unit, "3 h"; one that is hardly one is "0 s"."""
    seconds = int(length.total_seconds())
    for step, unit in _STEPS:
        if seconds >= step:
            return f"{seconds // step} {unit}"
    return "0 s"


def duration(milliseconds: float | None) -> str:
    """How long something took."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1_000:.1f} s" if milliseconds < 60_000 else span(timedelta(milliseconds=milliseconds))


def number(value: float | None) -> str:
    """With a thin space between thousands."""
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def clipped(text: str, limit: int = 80) -> str:
    """The beginning of a long text, and its end."""
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]}…{text[-(limit // 3) :]}"


def segment(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


def query(values: dict[str, Any], **changes: Any) -> str:
    """A query string of those that say something, with changes."""
    return urlencode({name: value for name, value in {**values, **changes}.items() if value not in (None, "")})


def tone(word: str) -> str:
    """The colour of a state; it is never the only thing that tells it."""
    return _STATES.get(word, "waits")


def words(name: str) -> str:
    """A name of the API as people read it."""
    return name.replace("_", " ")


def success_rate(recent: RecentAttempts) -> str:
    """The share of attempts that succeeded; what is not all of them is not called so by rounding."""
    percent = 100 * recent.succeeded / recent.attempts
    return f"{percent:.0f} %" if percent in (0, 100) else f"{min(99.9, max(0.1, percent)):.1f} %"


def _environment() -> Environment:
    sources = {
        file.name: file.read_text(encoding="utf-8") for file in _TEMPLATES.iterdir() if file.name.endswith(".html")
    }
    found = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters |= {
        "duration": duration,
        "number": number,
        "clipped": clipped,
        "segment": segment,
        "success": success_rate,
        "tone": tone,
        "words": words,
    }
    found.globals |= {"asset": asset_path, "query": query}
    return found


_ENVIRONMENT: Final = _environment()


def html(template: str, now: datetime, values: dict[str, Any]) -> str:
    """The template with these values, as of ``now``."""
    return _ENVIRONMENT.get_template(template).render(
        values | {"now": now, "ago": lambda value: time_html(value, now), "exact": lambda value: exact_html(value, now)}
    )
