"""Does a run keep the promises that proxies can break? Compares what clients were told with what is there."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import msgspec

from hookline.protocol.commands import CreateJob, TakeBatch
from hookline.protocol.jobs import JobSpec, State
from hookline.protocol.moves import decode_batch
from tests.simulation.cluster.cluster import Cluster
from tests.simulation.fleet.clients import PAUSED, marker_of, url_of
from tests.simulation.history import Call, is_refusal
from tests.simulation.promises import reading
from tests.simulation.promises.reading import Made, known_since

_specs = msgspec.msgpack.Decoder(JobSpec)
_SAID = frozenset(
    {
        "all_clusters_unavailable",
        "cluster_unavailable",
        "connection_failed",
        "deadline_exceeded",
        "idempotency_mismatch",
        "job_finished",
        "job_not_pending",
        "job_not_retryable",
        "queue_full",
        "schedule_exists",
    }
)
"""The codes that clients of a proxy may meet here. All others are between proxies and nodes, or mistakes."""


@dataclass(slots=True)
class Wanted:
    """One job or schedule that a call wanted to have made.

    Attributes:
        marker: what is made once, whoever asks for it: equal requests have the same one.
        fields: of the job, as it was asked for; empty for a schedule.
        told: the code of each try; empty when it was acknowledged.
        answer: the job that was answered.
    """

    call: Call
    marker: str
    fields: dict[str, Any]
    told: list[str]
    answer: Any = None

    @property
    def may_double(self) -> bool:
        """The client allowed that another cluster than the home takes it."""
        return "fallback" in self.fields

    @property
    def is_named(self) -> bool:
        """The client gave it an id or a key."""
        return not {"id", "idempotency_key"}.isdisjoint(self.fields)


def wanted(call: Call) -> Iterator[Wanted]:
    """Everything that a call wanted."""
    match call.kind:
        case "create":
            yield Wanted(call, marker_of(call.arguments["url"]), call.arguments, call.tries, call.answer)
        case "schedule":
            yield Wanted(call, call.target or "", {}, call.tries)
        case "batch":
            for place, fields in enumerate(call.arguments["jobs"]):
                one = Wanted(call, marker_of(fields["url"]), fields, call.tries)
                if call.is_ok and place < len(call.answer.results):
                    result = call.answer.results[place]
                    one.told, one.answer = [*call.tries[:-1], (result.error or {}).get("code", "")], result.job
                yield one


class Fleet:
    """Holds what clients were told, and what all clusters hold in the end, if they have come to it."""

    def __init__(self, calls: Sequence[Call], clusters: Sequence[Cluster] = ()) -> None:
        self.calls = calls
        self.known = known_since(calls)
        self.wanted = [one for call in calls for one in wanted(call)]
        self.made: list[Made] = []
        self.markers: dict[str, list[Made]] = defaultdict(list)
        self.states: dict[tuple[str, str], State] = {}  # by (cluster, id)
        self.schedules: dict[str, list[str]] = defaultdict(list)  # clusters by id
        self.keys: dict[str, list[tuple[str, str]]] = defaultdict(list)  # (cluster, job) by key
        self.sent: list[tuple[str, str]] = []  # (marker, job) of each request at a receiver
        ways = _ways(clusters)
        for cluster in clusters:
            self._look(cluster, ways)

    def _look(self, cluster: Cluster, ways: dict[str, set[str]]) -> None:
        connection = apsw.Connection(str(cluster.nodes[0].state_file), flags=apsw.SQLITE_OPEN_READONLY)
        rows = connection.execute("SELECT id, state, created_ms, spec FROM jobs JOIN specs USING (seq)")
        for job_id, state, created_ms, blob in rows:
            job = Made(cluster.name, job_id, created_ms, frozenset(ways[job_id]))
            self.made.append(job)
            self.markers[marker_of(_specs.decode(blob).url)].append(job)
            self.states[cluster.name, job_id] = State(state)
        for (name,) in connection.execute("SELECT id FROM schedules"):
            self.schedules[name].append(cluster.name)
        for key, job_id in connection.execute("SELECT key, id FROM idempotency_keys JOIN jobs USING (seq)"):
            self.keys[key].append((cluster.name, job_id))
        connection.close()
        self.sent += [(marker_of(arrival.url), arrival.job) for arrival in cluster.history.arrivals]

    def by_id(self) -> dict[str, list[Made]]:
        groups: dict[str, list[Made]] = defaultdict(list)
        for job in self.made:
            groups[job.id].append(job)
        return groups

    def may_be_retried(self, job: str, at: int) -> bool:
        """Somebody may have let it be delivered once more since then."""
        retries = (call for call in self.calls if call.kind in ("retry", "bulk_retry") and call.may_have_worked)
        return any(call.target in (job, None) and call.may_act_after(at) for call in retries)

    def doubled(self) -> set[str]:
        """The markers of what may be there twice."""
        return {one.marker for one in self.wanted if one.may_double}


def _ways(clusters: Sequence[Cluster]) -> dict[str, set[str]]:
    """The clusters in whose logs each job came to be, or arrived."""
    ways: dict[str, set[str]] = defaultdict(set)
    for cluster in clusters:
        for _, entry in cluster.history.entries:
            for command in entry.commands:
                if isinstance(command, CreateJob):
                    ways[command.id].add(cluster.name)
                elif isinstance(command, TakeBatch):
                    for record in decode_batch(command.batch).jobs:
                        ways[record.id].add(cluster.name)
    return ways


# --- what a client sees at once --------------------------------------------------------------------------------------


def clients_are_told_what_is_meant_for_them(facts: Fleet) -> Iterator[str]:
    for call in facts.calls:
        for code in call.tries if call.kind != "topology" else ():
            if code and code not in _SAID:
                yield f"call {call.number} was told {code}"
    for one in facts.wanted:
        if one.told and one.told[-1] not in _SAID | {""}:
            yield f"{one.marker} of call {one.call.number} was told {one.told[-1]}"


def an_answer_is_to_what_was_asked(facts: Fleet) -> Iterator[str]:
    for call in facts.calls:
        if call.kind == "batch" and call.is_ok and len(call.answer.results) != len(call.arguments["jobs"]):
            yield f"a batch of {len(call.arguments['jobs'])} has {len(call.answer.results)} results"
    for one in facts.wanted:
        if one.answer is not None and one.answer.url != one.fields["url"]:
            yield f"{one.marker} was answered with the job for {one.answer.url}"
        if one.answer is not None and one.answer.id != one.fields.get("id", one.answer.id):
            yield f"{one.fields['id']} was answered with {one.answer.id}"


# --- promise 1 and 8: what was acknowledged is there, and can be read ------------------------------------------------


def what_was_acknowledged_is_there(facts: Fleet) -> Iterator[str]:
    for one in facts.wanted:
        if one.answer is not None and one.answer.id not in {job.id for job in facts.markers.get(one.marker, ())}:
            yield f"{one.answer.id} for {one.marker} was acknowledged by call {one.call.number} and is gone"
    for name, stamp in facts.known["schedule"].items():
        if name not in facts.schedules:
            yield f"{name} was acknowledged at {stamp} and is gone"


def what_is_read_is_what_was_acknowledged(facts: Fleet) -> Iterator[str]:
    urls = {one.answer.id: url_of(one.marker) for one in facts.wanted if one.answer is not None}
    for call in facts.calls:
        if call.kind in ("read", "cancel") and call.is_ok and call.answer.url != urls[call.target or ""]:
            yield f"{call.target} was acknowledged for {urls[call.target or '']}, and {call.answer.url} was read"


# --- promise 5: the same id or key, the same job ---------------------------------------------------------------------


def no_id_exists_twice(facts: Fleet) -> Iterator[str]:
    for one, jobs in facts.by_id().items():
        if len(jobs) > 1:
            yield f"{one} is in {[job.cluster for job in jobs]}"
    for name, clusters in facts.schedules.items():
        if len(clusters) > 1:
            yield f"{name} is in {clusters}"


def no_key_exists_twice(facts: Fleet) -> Iterator[str]:
    """But where a client allowed it."""
    allowed = {one.fields["idempotency_key"] for one in facts.wanted if one.may_double}
    for key, places in facts.keys.items():
        if len(places) > 1 and key not in allowed:
            yield f"the key {key} is in {places}"


def what_is_asked_for_once_is_made_once(facts: Fleet) -> Iterator[str]:
    """Allow one job, whoever asks and however often. This holds for keys of the SDK's, and for jobs without a name."""
    allowed = facts.doubled()
    for marker, jobs in facts.markers.items():
        if len(jobs) > 1 and marker not in allowed:
            yield f"{marker} is {[(job.cluster, job.id) for job in jobs]}"
    sent: dict[str, set[str]] = defaultdict(set)
    for marker, job in facts.sent:
        sent[marker].add(job)
    for marker, ids in sent.items():
        if len(ids) > 1 and marker not in allowed:
            yield f"{marker} was carried out for {sorted(ids)}"


def equal_requests_are_answered_with_the_same_job(facts: Fleet) -> Iterator[str]:
    answered: dict[str, set[str]] = defaultdict(set)
    for one in facts.wanted:
        if one.answer is not None and not one.may_double:
            answered[one.marker].add(one.answer.id)
    for marker, ids in answered.items():
        if len(ids) > 1:
            yield f"{marker} was answered with {sorted(ids)}"


# --- promise 9: what is refused leaves nothing behind ----------------------------------------------------------------


def what_was_refused_was_not_made(facts: Fleet) -> Iterator[str]:
    told: dict[str, list[str]] = defaultdict(list)
    for one in facts.wanted:
        told[one.marker] += one.told
    for marker, codes in told.items():
        if (marker in facts.schedules or marker in facts.markers) and all(map(is_refusal, codes)):
            yield f"{marker} was refused, surely not accepted, each time, and is there"
    for marker in facts.markers.keys() - told.keys():
        yield f"{marker} is there, and nobody wanted it"


# --- promise 10: an acknowledged cancel ------------------------------------------------------------------------------


def what_was_cancelled_stays_so(facts: Fleet) -> Iterator[str]:
    done = [call for call in facts.calls if call.kind == "cancel" and call.is_ok]
    done = [call for call in done if not facts.may_be_retried(call.target or "", call.began)]
    cancelled = {call.target: call.ended for call in sorted(done, key=lambda call: -call.ended)}  # the first counts
    for job in facts.made:
        state = facts.states[job.cluster, job.id]
        if job.id in cancelled and state is not State.CANCELLED:
            yield f"{job.id} was cancelled at {cancelled[job.id]} and is {state.label} in {job.cluster}"
    for call in facts.calls:
        is_read = call.kind in ("read", "cancel") and call.is_ok and cancelled.get(call.target, call.began) < call.began
        if is_read and call.answer.state != "cancelled":
            yield f"{call.target} was cancelled at {cancelled[call.target]} and read as {call.answer.state}"


def a_pause_binds_every_cluster_also_one_that_came_later(facts: Fleet) -> Iterator[str]:
    """Jobs to that destination are made only after the pause was acknowledged."""
    for marker, job in facts.sent:
        if url_of(marker).startswith(PAUSED):
            yield f"{job} was sent to {PAUSED}, which is paused"


def what_was_cancelled_by_label_is_not_pending(facts: Fleet) -> Iterator[str]:
    labels = {one.answer.id: one.fields.get("labels", {}) for one in facts.wanted if one.answer is not None}
    for call in facts.calls:
        if call.kind != "bulk_cancel" or not call.is_ok:
            continue
        if call.answer.incomplete or call.answer.unclear or call.answer.more or call.answer.moving:
            continue
        name, _, value = call.arguments["label"].partition("=")
        for job in facts.made:
            is_meant = labels.get(job.id, {}).get(name) == value and facts.known["job"][job.id] < call.began
            is_pending = facts.states[job.cluster, job.id] is State.PENDING
            if is_meant and is_pending and not facts.may_be_retried(job.id, call.began):
                yield f"{job.id} is pending, and call {call.number} has cancelled all {value} ones"


Promise = Callable[[Fleet], Iterator[str]]

SEEN_AT_ONCE: tuple[Promise, ...] = (clients_are_told_what_is_meant_for_them, an_answer_is_to_what_was_asked)
OF_FLEETS: tuple[Promise, ...] = (
    *SEEN_AT_ONCE,
    what_was_acknowledged_is_there,
    reading.what_was_acknowledged_can_be_read,
    what_is_read_is_what_was_acknowledged,
    no_id_exists_twice,
    no_key_exists_twice,
    what_is_asked_for_once_is_made_once,
    equal_requests_are_answered_with_the_same_job,
    what_was_refused_was_not_made,
    what_was_cancelled_stays_so,
    a_pause_binds_every_cluster_also_one_that_came_later,
    what_was_cancelled_by_label_is_not_pending,
    reading.a_list_misses_nothing_without_a_word,
    reading.a_list_has_nothing_twice,
    reading.a_page_is_in_order,
)
