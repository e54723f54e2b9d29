"""Renders jobs, schedules, destinations and nodes for people."""

from collections.abc import Iterable

import msgspec

from hookline.cli.sheet import Column, Facts, Sheet, Words, facts
from hookline.client import answers
from hookline.protocol import http
from hookline.protocol.durations import format_duration, parse_time
from hookline.visible import visible

_STYLES = {
    "succeeded": "green",
    "success": "green",
    "ok": "green",
    "closed": "green",
    "dead": "red",
    "open": "red",
    "degraded": "yellow",
    "unavailable": "red",
    "permanent_failure": "red",
    "retryable_failure": "yellow",
    "unknown": "yellow",
    "half_open": "yellow",
    "running": "cyan",
    "cancelled": "dim",
}


def mark(word: str) -> Words:
    """A state or outcome in its colour."""
    return Words(visible(word), style_of(word))


def style_of(word: str) -> str:
    """The colour of a state or outcome."""
    return _STYLES.get(word, "")


def until(time: str | None, now_ms: int) -> str:
    """``in 5m`` or ``now`` for a time to come, in whole seconds; ``-`` if there is none."""
    if time is None:
        return "-"
    left_s = (parse_time(time) - now_ms) // 1_000
    if left_s <= 0:
        return "now"
    for unit_s in (86_400, 3_600, 60):  # two units are precise enough
        if left_s >= 24 * unit_s:
            left_s -= left_s % unit_s
            break
    return f"in {format_duration(left_s * 1_000)}"


JOB_COLUMNS = (
    Column("ID"),
    Column("STATE"),
    Column("TRIES", rank=4, is_number=True),
    Column("NEXT", rank=3),
    Column("LAST", rank=2, is_long=True),
    Column("URL", rank=1, is_long=True),
    Column("CREATED", rank=6),
    Column("DUE", rank=7),
    Column("LABELS", rank=8, is_long=True),
)


def job_table(jobs: Iterable[http.Job], now_ms: int) -> Sheet:
    """Jobs, one a line."""
    sheet = Sheet(JOB_COLUMNS)
    for job in jobs:
        sheet.add(
            job.id,
            mark(job.state),
            str(job.attempts_made),
            until(job.next_attempt_at, now_ms),
            last_answer(job),
            job.url,
            job.created_at,
            job.run_at,
            label_text(job.labels),
        )
    return sheet


def last_answer(job: "http.Job | answers.Job") -> str:
    """Why it is as it is: what the newest attempt was told."""
    last = job.last_attempt
    if last is None:
        return "-"
    return " ".join(str(part) for part in (last.status, last.error) if part) or last.outcome


def tries(job: http.Job) -> str:
    """How many attempts were made."""
    return "1 attempt" if job.attempts_made == 1 else f"{job.attempts_made} attempts"


def job_facts(job: http.Job) -> Facts:
    """One job in detail."""
    waiting, last = job.waiting_for, job.last_attempt
    return facts(
        (
            ("id", job.id),
            ("state", mark(job.state)),
            ("deduplicated", "yes: this job existed already" if job.deduplicated is True else None),
            ("call", f"{job.method} {job.url}"),
            ("headers", "\n".join(f"{name}: {value}" for name, value in job.headers.items())),
            ("payload", _payload(job)),
            ("due", job.run_at),
            ("created", job.created_at),
            ("finished", job.finished_at),
            ("attempts", f"{job.attempts_made} of {job.retry.max_attempts}"),
            ("tried again", retry_text(job.retry)),
            ("next attempt", job.next_attempt_at),
            ("waiting for", f"{waiting.reason}: {waiting.detail}" if waiting else None),
            ("last attempt", _last(last) if last else None),
            ("guarantee", job.guarantee),
            ("priority", job.priority or None),
            ("labels", label_text(job.labels)),
            ("schedule", job.schedule),
            ("tenant", job.tenant if isinstance(job.tenant, str) else None),
            ("signed", "yes" if job.signed else "no"),
        )
    )


def retry_text(retry: http.RetryView) -> str:
    """After what it is tried again, and when."""
    on, not_on = (", ".join(map(str, words)) for words in (retry.on, retry.not_on))
    when = f"after {', '.join(retry.schedule)}" if retry.schedule else f"after up to {retry.initial}"
    grows = "" if retry.schedule else f", then {retry.factor:g} times as long each, at most {retry.max}"
    budget = f", for {retry.budget} in all" if retry.budget else ""
    return f"on {on or 'nothing'}{f' but {not_on}' if not_on else ''}; {when}{grows}{budget}"


def retry_facts(retry: http.RetryRequest) -> Facts:
    """Lists what a destination says of retries."""
    given = msgspec.to_builtins(retry)
    return facts((f"retry {name}", ", ".join(map(str, v)) if isinstance(v, list) else v) for name, v in given.items())


def access_facts(destination: http.Destination) -> Facts:
    """Lists how requests to a destination are let in."""
    rows: list[tuple[str, object]] = []
    for kind, shown in (("auth", destination.auth), ("tls", destination.tls)):
        given = {} if shown is None else msgspec.to_builtins(shown)
        rows += [(f"{kind} {name}", value) for name, value in given.items() if value is not None]
    return facts(rows)


def attempt_table(attempts: Iterable[http.Attempt]) -> Sheet:
    """All attempts of a job."""
    sheet = Sheet(
        (
            Column("#"),
            Column("OUTCOME"),
            Column("STATUS", rank=1),
            Column("STARTED", rank=2),
            Column("TOOK", rank=3),
            Column("ANSWER", is_long=True),
            Column("NODE", rank=4),
        )
    )
    for attempt in attempts:
        sheet.add(
            str(attempt.number),
            mark(attempt.outcome),
            "-" if attempt.status is None else str(attempt.status),
            attempt.started_at,
            _took(attempt.duration_ms),
            attempt.error or attempt.response_body[:200].strip(),
            attempt.node,
        )
    return sheet


def schedule_table(schedules: Iterable[http.Schedule], now_ms: int) -> Sheet:
    """Schedules, one a line."""
    sheet = Sheet(
        (
            Column("ID"),
            Column("CRON", is_long=True),
            Column("ZONE", rank=3),
            Column("NEXT", rank=1),
            Column("JOBS", rank=4, is_number=True),
            Column("URL", rank=2, is_long=True),
            Column("LAST TICK", rank=5),
        )
    )
    for schedule in schedules:
        following = "paused" if schedule.paused else until(schedule.next_tick_at, now_ms)
        made, url, last = str(schedule.jobs_made), _of_job(schedule, "url"), schedule.last_tick_at or "-"
        sheet.add(schedule.id, schedule.cron, schedule.timezone, following, made, url, last)
    return sheet


def schedule_facts(schedule: http.Schedule) -> Facts:
    """One schedule in detail."""
    return facts(
        (
            ("id", schedule.id),
            ("cron", f"{schedule.cron} ({schedule.timezone})"),
            ("paused", "yes" if schedule.paused else "no"),
            ("next tick", schedule.next_tick_at),
            ("last tick", schedule.last_tick_at),
            ("last job", schedule.last_job_id),
            ("jobs made", str(schedule.jobs_made)),
            ("ticks skipped", schedule.ticks_skipped or None),
            ("catch up", f"{schedule.catch_up.policy} within {schedule.catch_up.window}"),
            ("overlap", schedule.overlap),
            ("jitter", schedule.jitter),
            ("starts", schedule.start_at),
            ("ends", schedule.end_at),
            ("each job", f"{_of_job(schedule, 'method')} {_of_job(schedule, 'url')}"),
        )
    )


def _of_job(schedule: http.Schedule, name: str) -> str:
    raw = schedule.job.get(name)
    return "-" if raw is None else str(msgspec.json.decode(raw))


def destination_table(destinations: Iterable[http.Destination]) -> Sheet:
    """Destinations, one a line."""
    sheet = Sheet(
        (
            Column("DESTINATION", is_long=True),
            Column("PAUSED", rank=1),
            Column("BREAKER", rank=2),
            Column("RUNNING", rank=5, is_number=True),
            Column("WAITING", rank=4, is_number=True),
            Column("LIMIT", rank=6, is_number=True),
            Column("RATE", rank=3),
            Column("SECRETS", rank=7, is_number=True),
        )
    )
    for one in destinations:
        sheet.add(
            one.host,
            Words("yes", "yellow") if one.paused else "no",
            mark(one.breaker.state),
            str(one.running),
            str(one.waiting),
            "-" if one.concurrency is None else str(one.concurrency),
            "-" if one.rate is None else f"{one.rate.limit}/{one.rate.per}",
            str(one.secrets),
        )
    return sheet


def cluster_table(cluster: http.Cluster) -> Sheet:
    """The nodes of a cluster."""
    sheet = Sheet(
        (
            Column("NODE"),
            Column("ROLE"),
            Column("URL", is_long=True),
            Column("APPLIED", rank=2, is_number=True),
            Column("DURABLE", rank=3, is_number=True),
            Column("CLOCK", rank=4, is_number=True),
            Column("VERSION", rank=5),
        ),
        title=f"cluster {cluster.name} · shard {cluster.shard} · term {cluster.term}",
    )
    for node in cluster.nodes:
        clock = "" if node.clock_offset_ms is None else f"{node.clock_offset_ms:+,} ms"
        sheet.add(node.name, node.role, node.url, str(node.applied), str(node.durable), clock, node.version)
    if cluster.clock is not None and cluster.clock.detail is not None:
        sheet.caption = cluster.clock.detail
    return sheet


def runner_table(cluster: http.Cluster) -> Sheet:
    """The processes that make a cluster's attempts."""
    sheet = Sheet(
        (Column("RUNNER"), Column("KIND"), Column("SLOTS", is_number=True), Column("RUNNING", is_number=True)),
        title=f"cluster {cluster.name} · mode {cluster.mode}",
    )
    for runner in cluster.runners:
        sheet.add(runner.name, runner.kind, f"{runner.slots:,}", f"{runner.running:,}")
    return sheet


def clock_facts(clock: http.ClockView) -> Facts:
    """Is a machine's clock the time?"""
    offset = None if clock.offset_ms is None else f"{clock.offset_ms:+,} ms from the majority"
    return facts((("trusted", "yes" if clock.trusted else "no"), ("offset", offset), ("detail", clock.detail)))


def health_facts(health: http.Health) -> Facts:
    """Is it fit, and how much of each limit is used."""
    usage = [(name, f"{one.used:,} of {one.limit:,}") for name, one in health.usage.items()]
    clusters = [] if health.clusters is msgspec.UNSET else [(one.name, _cluster(one)) for one in health.clusters]
    return facts((("status", mark(health.status)), ("role", health.role), ("detail", health.detail), *usage, *clusters))


def _cluster(cluster: http.ClusterHealth) -> str:
    down = [node.url for node in cluster.nodes if node.state != "up"]
    parts = [cluster.state, f"breaker {cluster.breaker}", f"led by {cluster.leader or 'nobody known'}"]
    return ", ".join([*parts, *(f"not up: {url}" for url in down)])


def label_text(labels: http.Labels) -> str:
    """Labels on one line."""
    texts = [f"{name}={value}" for name, value in labels.items()] if isinstance(labels, dict) else labels
    return ", ".join(texts)


def _last(last: http.LastAttempt) -> str:
    answer = last.error or (f"HTTP {last.status}" if last.status else "no answer")
    return f"#{last.number} {last.outcome}, {answer}, {_took(last.duration_ms)}, at {last.started_at}"


def _took(duration_ms: int | None) -> str:
    return "? ms" if duration_ms is None else f"{duration_ms} ms"


def _payload(job: http.Job) -> str | None:
    if job.payload_removed:
        return "deleted"
    if isinstance(job.payload, msgspec.Raw):
        return bytes(job.payload).decode("utf-8", "replace")
    return None if job.body_base64 is msgspec.UNSET else f"{len(str(job.body_base64)) * 3 // 4} bytes"
