"""Reads for the API from the committed state. Every query is bounded.

Lists walk in windows and let others run in between. They go from the newest job to the oldest by ``seq``; a page may be
short although there is more, when the jobs between two matches are many, and the next page goes on where it stopped.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterator
from itertools import islice

import apsw
import msgspec

from hookline.errors import InvalidRequest
from hookline.node.state_machine import sql
from hookline.node.state_machine.matching import CLOCK_STEP_MS, AuditFilter, Fitting, JobFilter, Match
from hookline.node.state_machine.read_rows import (
    COLUMNS,
    Accepted,
    DestinationRow,
    Found,
    JobRow,
    ScheduleRow,
    StoredDestination,
    destination_row,
    job_row,
    parted,
    schedule_row,
)
from hookline.node.state_machine.records import attempt_of
from hookline.node.state_machine.rows import AuditRow
from hookline.protocol.jobs import DEFAULT_TENANT, AttemptRecord, JobSpec, State
from hookline.protocol.limits import ATTEMPTS_MAX

WINDOW_ROWS = 2_000
SCAN_ROWS_MAX = 30_000  # of one page: 25 ms, however many jobs there are
_ANSWER_ROWS = 2  # looking at how a job's last attempt ended costs as much as so many rows more
_ERROR_CHARS_A_ROW = 256
_ANSWERS_AT_ONCE = 500
PAGE_BYTES_MAX = 2 * 1024 * 1024  # of the jobs on a page, payloads included, also where they are not shown
LABEL_VALUES_MAX = 100
ATTEMPTS_SHOWN_BYTES_MAX = 2 * 1024 * 1024
_SEQ_MAX = 2**63 - 1
_ROWS_BETWEEN_YIELDS = 100
_LABELS_BETWEEN_YIELDS = 10
_ATTEMPTS_BETWEEN_YIELDS = 100
_SCHEDULES_BETWEEN_YIELDS = 10  # each with a payload, which is shown
_AFTER_EQUALS = ">"  # the character that follows "=": with it ends the range of "name=…"

STATEMENTS = sql.load("reads.sql", COLUMNS)


class Reads:
    """Queries on a ``query_only`` connection, on the event loop.

    Names are a tenant's own: a name or a filter finds only what is that tenant's. A job's
    number comes from such an answer.

    Args:
        reader: the connection.
        opened: opens what is sealed in a job's spec, if it is.
        opened_response: the same of the body of a response.
    """

    def __init__(
        self,
        reader: apsw.Connection,
        opened: Callable[[JobSpec], JobSpec] = lambda spec: spec,
        opened_response: Callable[[bytes], bytes] = lambda body: body,
    ) -> None:
        self._reader = reader
        self._opened = opened
        self._opened_response = opened_response

    def job(self, tenant: str, job_id: str) -> JobRow | None:
        """A job by id. Raises StateDamaged when its spec is not as it was written."""
        for row in self._all("job_by_id", job_id, tenant):
            return job_row(*parted(row), self._opened)
        return None

    def state(self, tenant: str, job_id: str) -> State | None:
        """The state of a job by id."""
        rows = self._all("state_of", job_id, tenant)
        return State(rows[0][0]) if rows else None

    def accepted(self, tenant: str, job_id: str) -> tuple[int, int] | None:
        """The state of a job by id, and when it was accepted."""
        rows = self._all("accepted", job_id, tenant)
        return (rows[0][0], rows[0][1]) if rows else None

    def seq_of(self, tenant: str, job_id: str) -> int | None:
        """The number of a job."""
        rows = self._all("seq_of", job_id, tenant)
        return rows[0][0] if rows else None

    def job_of_key(self, tenant: str, key: str, now_ms: int) -> str | None:
        """The id of the job that an idempotency key stands for, while its window lasts."""
        rows = self._all("job_of_key", key, tenant, now_ms)
        return rows[0][0] if rows else None

    def elsewhere(self, tenant: str, kind: int, name: str) -> tuple[int, bool] | None:
        """The shard of the cluster that has it, and whether it has its home here and is kept there."""
        rows = self._all("elsewhere", tenant, kind, name)
        return (rows[0][0], not rows[0][1]) if rows else None

    async def jobs(self, seqs: list[int], bytes_max: int | None = None) -> list[JobRow]:
        """The jobs with these numbers, in that order; those purged meanwhile are missing.

        At least one, and as many as have ``bytes_max`` together.
        """
        found: list[JobRow] = []
        size = 0
        for position, seq in enumerate(seqs, 1):
            for row in self._all("job_by_seq", seq):
                job, last = parted(row)
                size += len(job.spec)
                if found and bytes_max is not None and size > bytes_max:
                    return found
                found.append(job_row(job, last, self._opened))
            if position % _ROWS_BETWEEN_YIELDS == 0:
                await asyncio.sleep(0)
        return found

    async def attempts(self, seq: int) -> list[AttemptRecord]:
        """The newest attempts of a job, oldest first; the bodies of the oldest are left out when they are large."""
        found: list[AttemptRecord] = []
        size, number = 0, _SEQ_MAX
        while len(found) < ATTEMPTS_MAX:
            rows = [attempt_of(row) for row in self._all("attempts", seq, number, _ATTEMPTS_BETWEEN_YIELDS)]
            for row in rows:
                size += len(row.response_body)
                is_shown = size <= ATTEMPTS_SHOWN_BYTES_MAX
                body = self._opened_response(row.response_body) if is_shown else b""
                found.append(row if body is row.response_body else msgspec.structs.replace(row, response_body=body))
            if len(rows) < _ATTEMPTS_BETWEEN_YIELDS:
                break
            number = rows[-1].number
            await asyncio.sleep(0)
        return found[::-1]

    async def find(self, tenant: str, wanted: JobFilter, before: int | None, limit: int) -> Found:
        """Up to ``limit`` matches below ``before``, from about ``SCAN_ROWS_MAX`` rows; then it says how far it came.

        Raises InvalidRequest when a label's name alone stands for too many values.
        """
        position = _SEQ_MAX if before is None else before
        if wanted.created_before_ms is not None:
            position = min(position, self._first_after(wanted.created_before_ms + CLOCK_STEP_MS))
        fits = self._fitting(tenant, wanted)
        labels = None if wanted.label is None else self._label_texts(tenant, wanted.label)
        if fits is None or labels == []:
            return Found([], None)
        matches: list[Match] = []
        window: list[Match] = []
        scanned = 0
        while scanned < SCAN_ROWS_MAX:
            if labels is not None:
                window, ended = await self._window_of_labels(tenant, labels, position)
            else:
                window, ended = self._window(tenant, wanted.state, position)
            fitting, looked_at = await self._that_fit(window, fits)
            for row in fitting:
                if len(matches) == limit:
                    return Found(matches, matches[-1].seq)
                matches.append(row)
            if ended or fits.is_over(window[-1]):
                return Found(matches, None)
            position = window[-1].seq
            scanned += len(window) + looked_at
            await asyncio.sleep(0)
        return Found(matches, position, window[-1].created_ms)

    def schedule(self, tenant: str, schedule_id: str) -> ScheduleRow | None:
        """A schedule by id."""
        rows = self._all("schedule_by_id", tenant, schedule_id)
        return schedule_row(rows[0], self._opened) if rows else None

    async def schedules(self, tenant: str, after: str, limit: int) -> tuple[list[ScheduleRow], bool]:
        """Up to ``limit`` schedules whose id comes after ``after``, by id, and whether there are more.

        Fewer, when their jobs' bodies are more than ``PAGE_BYTES_MAX``.
        """
        found: list[ScheduleRow] = []
        size = 0
        while True:
            stored = self._all("schedules_after", after, _SCHEDULES_BETWEEN_YIELDS, tenant)
            rows = [schedule_row(row, self._opened) for row in stored]
            for row in rows:
                size += len(row.job_spec.body)
                if len(found) == limit or (found and size > PAGE_BYTES_MAX):
                    return found, True
                found.append(row)
            if len(rows) < _SCHEDULES_BETWEEN_YIELDS:
                return found, False
            after = rows[-1].id
            await asyncio.sleep(0)

    def destination(self, tenant: str, name: str) -> DestinationRow | None:
        """A destination by its name, ``scheme://host:port``."""
        rows = self._all("destination", tenant, name)
        return destination_row(rows[0]) if rows else None

    def shown_destination(self, tenant: str, name: str) -> DestinationRow | None:
        """The same; None too for one that was deleted, while no unfinished job names it."""
        row = self.destination(tenant, name)
        if row is not None and row.is_deleted and not self._all("is_busy", row.number)[0][0]:
            return None
        return row

    def destinations(self, tenant: str, after: str, limit: int) -> list[DestinationRow]:
        """Up to ``limit`` destinations whose name comes after ``after``, of those that are shown."""
        return [destination_row(row) for row in self._all("destinations_after", after, limit, tenant)]

    def destinations_set(self, after: int, limit: int) -> list[StoredDestination]:
        """Up to ``limit`` destinations of all tenants that have settings, by number, those after ``after``."""
        return [StoredDestination(*row) for row in self._all("destinations_set", after, limit)]

    def api_key(self, key_id: str) -> bytes | None:
        """The record of an API key, as it is stored."""
        rows = self._all("api_key", key_id)
        return rows[0][0] if rows else None

    async def audit(self, wanted: AuditFilter, before: int | None, limit: int) -> tuple[list[AuditRow], bool]:
        """Up to ``limit`` rows of the audit log below ``before``, the newest first, and whether there are more."""
        found: list[AuditRow] = []
        position = _SEQ_MAX if before is None else before
        size = limit + 1 if wanted == AuditFilter() else WINDOW_ROWS
        while True:
            window = [AuditRow(*row) for row in self._all("audit_before", position, size)]
            for row in window:
                if wanted.fits(row):
                    if len(found) == limit:
                        return found, True
                    found.append(row)
            if len(window) < size:
                return found, False
            position = window[-1].number
            await asyncio.sleep(0)

    def _window(self, tenant: str, state: State | None, before: int) -> tuple[list[Match], bool]:
        """The next rows below ``before``, never empty unless it is the end; and whether it is.

        Where the default tenant's have no index of their own, they are all tenants' rows.
        """
        if state is not None and state is not State.SUCCEEDED:
            rows = self._all("window_of_state", before, WINDOW_ROWS, tenant, state)
        elif tenant == DEFAULT_TENANT:
            rows = self._all("window", before, WINDOW_ROWS)
        else:
            rows = self._all("window_of_tenant", before, WINDOW_ROWS, tenant)
        return [Match(*row) for row in rows], len(rows) < WINDOW_ROWS

    async def _window_of_labels(self, tenant: str, labels: list[str], before: int) -> tuple[list[Match], bool]:
        share = max(1, WINDOW_ROWS // len(labels))
        lists = []
        for number, label in enumerate(labels, 1):
            lists.append([Match(*row) for row in self._all("window_of_label", before, share, tenant, label)])
            if number % _LABELS_BETWEEN_YIELDS == 0:
                await asyncio.sleep(0)
        # Below the end of a full list its next rows are not known yet, so the merged window stops there.
        known_from = max((rows[-1].seq for rows in lists if len(rows) == share), default=0)
        window: list[Match] = []
        for row in heapq.merge(*lists, key=lambda row: -row.seq):
            if row.seq >= known_from and (not window or window[-1].seq != row.seq):
                window.append(row)
        return window, known_from == 0

    async def _that_fit(self, window: list[Match], fits: Fitting) -> tuple[list[Match], int]:
        """The rows that fit; and what it took to know how their last attempts ended, in rows."""
        rows = [row for row in window if fits(row)]
        if not fits.asks_for_answer:
            return rows, 0
        found: list[Match] = []
        cost = len(rows) * _ANSWER_ROWS
        for start in range(0, len(rows), _ANSWERS_AT_ONCE):
            await asyncio.sleep(0)
            asked = rows[start : start + _ANSWERS_AT_ONCE]
            answers = self._all("last_answers", msgspec.json.encode([row.seq for row in asked]).decode())
            ended_so = {seq for seq, status, error in answers if fits.is_answer(status, error)}
            found += [row for row in asked if row.seq in ended_so]
            cost += sum(len(error or "") for _, _, error in answers) // _ERROR_CHARS_A_ROW
        return found, cost

    def _fitting(self, tenant: str, wanted: JobFilter) -> Fitting | None:
        """The check of a row; None: no row fits, as there is no such destination or schedule."""
        destination = schedule = None
        oldest_ms = wanted.created_after_ms or 0
        if wanted.destination is not None:
            if (found := self.destination(tenant, wanted.destination)) is None:
                return None
            destination = found.number
        if wanted.schedule is not None:
            rows = self._all("schedule_number", tenant, wanted.schedule)
            if not rows:
                return None
            found_schedule = Accepted(*rows[0])
            schedule = found_schedule.seq
            oldest_ms = max(oldest_ms, found_schedule.created_ms)
        return Fitting(tenant, wanted, destination, schedule, oldest_ms)

    def _first_after(self, created_ms: int) -> int:
        """The number of a job accepted at that time or later whose predecessor was not; found by halving."""
        low, high = 0, _SEQ_MAX
        if (newest := self._newest_until(_SEQ_MAX)) is not None:
            high = newest.seq + 1
        while low + 1 < high:
            middle = (low + high) // 2
            newest = self._newest_until(middle)
            if newest is not None and newest.seq > low and newest.created_ms >= created_ms:
                high = newest.seq
            else:
                low = middle
        return high

    def _newest_until(self, seq: int) -> Accepted | None:
        rows = self._all("newest_until", seq)
        return Accepted(*rows[0]) if rows else None

    def _label_texts(self, tenant: str, text: str) -> list[str]:
        """The index entries that a label of a filter stands for."""
        if "=" in text:
            return [text]
        found = [text]
        if ":" in text:
            found.append(text.replace(":", "=", 1))
        values = list(islice(self._label_values(tenant, text), LABEL_VALUES_MAX + 1))
        if len(values) > LABEL_VALUES_MAX:
            raise InvalidRequest(
                f"the label {text[:80]!r} has more than {LABEL_VALUES_MAX} values; ask for one, as name=value",
                field="label",
            )
        return found + values

    def _label_values(self, tenant: str, name: str) -> Iterator[str]:
        """The distinct ``name=value`` in the index: one seek each, however many jobs carry them."""
        first = self._all("next_label", name + "<\U0010ffff", name + _AFTER_EQUALS, tenant)[0][0]
        while first is not None:
            yield first
            first = self._all("next_label", first, name + _AFTER_EQUALS, tenant)[0][0]

    def _all(self, name: str, *values: object) -> list[sql.Values]:
        return self._reader.execute(STATEMENTS[name], values).fetchall()
