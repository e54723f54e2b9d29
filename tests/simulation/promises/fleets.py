"""Does a run keep the promises that proxies can break? Compares what clients were told with what is there."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import apsw
import msgspec

from hookline.protocol.durations import parse_time
from hookline.protocol.jobs import JobSpec, State
from tests.simulation.cluster.cluster import Cluster
from tests.simulation.fleet.client_record import ClientRecord, Creation, Listing, Page
from tests.simulation.fleet.clients import PAUSED, marker_of, url_of

_specs = msgspec.msgpack.Decoder(JobSpec)


@dataclass(frozen=True, slots=True)
class Made:
    """A job in the state of a cluster."""

    cluster: str
    id: str
    marker: str
    state: State
    created_ms: int


@dataclass(slots=True)
class Found:
    """What all clusters hold in the end."""

    jobs: list[Made] = field(default_factory=list)
    schedules: dict[str, list[str]] = field(default_factory=dict)  # clusters by id
    keys: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # (cluster, job) by key
    sent: list[tuple[str, str]] = field(default_factory=list)  # (marker, job) of each request at a receiver

    def by_marker(self) -> dict[str, list[Made]]:
        return _grouped(self.jobs, lambda job: job.marker)

    def by_id(self) -> dict[str, list[Made]]:
        return _grouped(self.jobs, lambda job: job.id)


def broken(record: ClientRecord, clusters: Sequence[Cluster]) -> Iterator[str]:
    """What breaks a promise, in words."""
    found = look(clusters)
    for check in CHECKS:
        for text in check(record, found):
            yield f"{check.__name__.replace('_', ' ')}: {text}"


def look(clusters: Sequence[Cluster]) -> Found:
    """Read the states, now that nobody writes them."""
    found = Found()
    for cluster in clusters:
        connection = apsw.Connection(str(cluster.nodes[0].state_file), flags=apsw.SQLITE_OPEN_READONLY)
        rows = connection.execute("SELECT id, state, created_ms, spec FROM jobs JOIN specs USING (seq)")
        for job_id, state, created_ms, blob in rows:
            marker = marker_of(_specs.decode(blob).url)
            found.jobs.append(Made(cluster.name, job_id, marker, State(state), created_ms))
        for (name,) in connection.execute("SELECT id FROM schedules"):
            found.schedules.setdefault(name, []).append(cluster.name)
        for key, job_id in connection.execute("SELECT key, id FROM idempotency_keys JOIN jobs USING (seq)"):
            found.keys.setdefault(key, []).append((cluster.name, job_id))
        connection.close()
        found.sent += [(marker_of(arrival.url), arrival.job) for arrival in cluster.history.arrivals]
    return found


def _grouped(jobs: list[Made], key: Callable[[Made], str]) -> dict[str, list[Made]]:
    groups: dict[str, list[Made]] = defaultdict(list)
    for job in jobs:
        groups[key(job)].append(job)
    return groups


# --- promise 1 and 8: what was acknowledged is there, and can be read ---------------------------------------------


def what_was_acknowledged_is_there(record: ClientRecord, found: Found) -> Iterator[str]:
    jobs = found.by_id()
    for one, (stamp, marker) in record.acknowledged().items():
        if marker not in {job.marker for job in jobs.get(one, ())}:
            yield f"{one} for {marker} was acknowledged at {stamp} and is gone"
    for one, (stamp, _) in record.acknowledged("schedule").items():
        if one not in found.schedules:
            yield f"{one} was acknowledged at {stamp} and is gone"


def what_was_acknowledged_can_be_read(record: ClientRecord, _found: Found) -> Iterator[str]:
    known = {kind: record.acknowledged(kind) for kind in ("job", "schedule")}
    for reading in record.readings:
        since, marker = known["schedule" if reading.what == "schedule" else "job"][reading.id]
        if since > reading.began:
            continue
        if reading.code.endswith("_not_found"):
            yield f"{reading.what} at {reading.began} to {reading.ended}: no {reading.id}, acknowledged at {since}"
        elif reading.url and reading.url != url_of(marker):
            yield f"{reading.id} was acknowledged for {marker}, and {reading.url} was read at {reading.ended}"


# --- promise 5: the same id or key, the same job ------------------------------------------------------------------


def no_id_exists_twice(_record: ClientRecord, found: Found) -> Iterator[str]:
    for one, jobs in found.by_id().items():
        if len(jobs) > 1:
            yield f"{one} is in {[job.cluster for job in jobs]}"
    for name, clusters in found.schedules.items():
        if len(clusters) > 1:
            yield f"{name} is in {clusters}"


def no_key_exists_twice(record: ClientRecord, found: Found) -> Iterator[str]:
    """But where a client allowed it."""
    allowed = {creation.key for creation in record.creations if creation.may_double}
    for key, places in found.keys.items():
        if len(places) > 1 and key not in allowed:
            yield f"the key {key} is in {places}"


def what_is_asked_for_once_is_made_once(record: ClientRecord, found: Found) -> Iterator[str]:
    """Whoever asks for it, and however often it is sent again: also what has a key of the SDK's or no name at all."""
    allowed = {creation.marker for creation in record.creations if creation.may_double}
    for marker, jobs in found.by_marker().items():
        if len(jobs) > 1 and marker not in allowed:
            yield f"{marker} is {[(job.cluster, job.id) for job in jobs]}"
    sent: dict[str, set[str]] = defaultdict(set)
    for marker, job in found.sent:
        sent[marker].add(job)
    for marker, ids in sent.items():
        if len(ids) > 1 and marker not in allowed:
            yield f"{marker} was carried out for {sorted(ids)}"


def equal_requests_are_answered_with_the_same_job(record: ClientRecord, _found: Found) -> Iterator[str]:
    answered: dict[str, set[str]] = defaultdict(set)
    for creation in record.creations:
        if not creation.may_double:
            answered[creation.marker] |= {one for one, _ in creation.acknowledged}
    for marker, ids in answered.items():
        if len(ids) > 1:
            yield f"{marker} was answered with {sorted(ids)}"


# --- promise 9: what is refused leaves nothing behind --------------------------------------------------------------


def what_was_refused_was_not_made(record: ClientRecord, found: Found) -> Iterator[str]:
    wanted: dict[str, list[Creation]] = defaultdict(list)
    for creation in record.creations:
        wanted[creation.marker].append(creation)
    jobs = found.by_marker()
    for marker, creations in wanted.items():
        is_there = marker in found.schedules or marker in jobs
        if is_there and all(verdict == "refused" for creation in creations for verdict in creation.verdicts):
            yield f"{marker} was refused, surely not accepted, each time, and is there"
    for marker in jobs.keys() - wanted.keys():
        yield f"{marker} is there, and nobody wanted it"


# --- promise 10: an acknowledged cancel ---------------------------------------------------------------------------


def what_was_cancelled_stays_so(record: ClientRecord, found: Found) -> Iterator[str]:
    cancelled = {
        reading.id: reading.ended for reading in record.readings if reading.what == "cancel" and not reading.code
    }
    for one, jobs in found.by_id().items():
        if one in cancelled and any(job.state is not State.CANCELLED for job in jobs):
            yield f"{one} was cancelled at {cancelled[one]} and is {jobs[0].state.label}"
    for reading in record.readings:
        if reading.state and reading.state != "cancelled" and cancelled.get(reading.id, reading.began) < reading.began:
            yield f"{reading.id} was cancelled at {cancelled[reading.id]} and read as {reading.state}"


def a_pause_binds_every_cluster_also_one_that_came_later(_record: ClientRecord, found: Found) -> Iterator[str]:
    """Jobs to that destination are made only after the pause was acknowledged."""
    for marker, job in found.sent:
        if url_of(marker).startswith(PAUSED):
            yield f"{job} was sent to {PAUSED}, which is paused"


def what_was_cancelled_by_label_is_not_pending(record: ClientRecord, found: Found) -> Iterator[str]:
    labels = {creation.marker: creation.label for creation in record.creations}
    acknowledged = record.acknowledged()
    for job in found.jobs:
        since = acknowledged.get(job.id)
        for done in record.cancellings if since and job.state is State.PENDING else ():
            if labels.get(job.marker) == done.label and since is not None and since[0] < done.began:
                yield f"{job.id} is pending, and all {done.label} ones were cancelled at {done.ended}"


# --- lists: nothing is missing without a word ---------------------------------------------------------------------


def a_list_misses_nothing_without_a_word(record: ClientRecord, found: Found) -> Iterator[str]:
    acknowledged = record.acknowledged()
    for listing in record.listings:
        due = [job for job in found.jobs if job.id in acknowledged and acknowledged[job.id][0] < listing.began]
        yield from _missed(listing, due)


def _missed(listing: Listing, due: list[Made]) -> Iterator[str]:
    seen: set[str] = set()
    for number, page in enumerate(listing.pages, 1):
        seen.update(one for _, one in page.jobs)
        reached_ms = _reached_ms(page)
        for job in due:
            if job.id not in seen and job.created_ms > reached_ms and job.cluster not in page.incomplete:
                yield (
                    f"the list of {listing.began} misses {job.id} of {job.cluster} on page {number}, incomplete:"
                    f" {page.incomplete}"
                )


def _reached_ms(page: Page) -> float:
    """Everything newer should have come by now."""
    if not page.has_more:
        return -1
    return parse_time(page.jobs[-1][0]) if page.jobs else float("inf")


def a_list_has_an_order_and_nothing_twice(record: ClientRecord, _found: Found) -> Iterator[str]:
    for listing in record.listings:
        ids = [one for page in listing.pages for _, one in page.jobs]
        if len(ids) != len(set(ids)):
            yield f"the list of {listing.began} has {sorted(one for one in ids if ids.count(one) > 1)} twice"
        for page in listing.pages:
            created = [created_at for created_at, _ in page.jobs]
            if created != sorted(created, reverse=True):
                yield f"a page of the list of {listing.began} is out of order"


CHECKS: tuple[Callable[[ClientRecord, Found], Iterator[str]], ...] = (
    what_was_acknowledged_is_there,
    what_was_acknowledged_can_be_read,
    no_id_exists_twice,
    no_key_exists_twice,
    what_is_asked_for_once_is_made_once,
    equal_requests_are_answered_with_the_same_job,
    what_was_refused_was_not_made,
    what_was_cancelled_stays_so,
    a_pause_binds_every_cluster_also_one_that_came_later,
    what_was_cancelled_by_label_is_not_pending,
    a_list_misses_nothing_without_a_word,
    a_list_has_an_order_and_nothing_twice,
)
