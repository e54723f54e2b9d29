"""The real state machine against a plain model, and against itself: the same log always gives the same state."""

import os
import random
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace as changed

from hookline.node.database import Database
from hookline.node.state_machine.contents import check_contents
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.tables import new_counters, read_counters
from hookline.protocol import commands as c
from hookline.protocol.api_keys import ApiKey, KeySecret, decode_key, encode_key
from hookline.protocol.audit import AuditRecord, encode_audit
from hookline.protocol.codec import Entry, decode_entry, encode_entry
from hookline.protocol.jobs import (
    PAYLOAD_REMOVED,
    State,
    decode_spec,
    encode_spec,
    encode_work,
    without_payload,
    work_of,
)
from hookline.protocol.modes import ATTEMPTING, Mode
from hookline.protocol.settings import DELETED, DestinationSettings, encode
from hookline.protocol.tenants import REMOVED, UNLIMITED, TenantSettings, encode_tenant
from tests.node_parts import T0, create, entry, job_spec, outcome
from tests.properties.model import FINISHED, OPEN, Model, Name

SECOND = 1_000
seqs = st.integers(1, 8)
owners = st.sampled_from(["n1/a/1", "n1/a/2", "n1/b/3", "n2/a/1"])
hosts = st.sampled_from(["https://a.example:443", "https://b.example:443", "http://c.example:80"])
tenants = st.sampled_from(["", "", "acme"])
ids = st.sampled_from(["a", "b", "c"])
keys = st.sampled_from([None, None, "k1", "k2"])
bodies = st.sampled_from([b"{}", b'{"n": 1}', b"[1, 2, 3, 4]"])
labels = st.sampled_from([(), ("x",), ("x", "y=1")])
times = st.integers(-5, 20).map(lambda seconds: seconds * SECOND)
specs = st.builds(
    lambda host, body, once, priority, names, timeout_ms: job_spec(
        f"{host}/", host, body=body, at_most_once=once, priority=priority, labels=names, timeout_ms=timeout_ms
    ),
    hosts,
    bodies,
    st.booleans(),
    st.sampled_from([-3, 0, 100]),
    labels,
    st.sampled_from([SECOND, 30 * SECOND]),
)


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    names = [name for (name,) in database.writer.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name: sorted(database.writer.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}


class StateMachineAgainstModel(RuleBasedStateMachine):
    """Each rule adds one command; an entry is applied when a rule says so, so entries have one to many commands."""

    def __init__(self) -> None:
        super().__init__()
        self.files = ExitStack()
        self.path = Path(self.files.enter_context(tempfile.TemporaryDirectory()))
        self.database = open_state(self.path / "state.db", durable=False)
        self.machine = StateMachine(self.database)
        self.model = Model()
        self.entries: list[Entry] = []
        self.batch: list[c.AnyCommand] = []
        self.now = T0
        self.term = 1
        self.minted = 0
        # Promises, kept apart from the model.
        self.acknowledged_keys: dict[
            tuple[str, str], tuple[bytes, int, str, int]
        ] = {}  # key -> fingerprint, expiry, job id, seq
        self.bound: dict[int, int | None] = {}  # seq -> the due time an update acknowledged; None: cancelled
        self.claimed_once: set[int] = set()  # at-most-once jobs whose claim a lost leader left open
        self.deleted: set[int] = set()
        self.failed = False

    def submit(self, command: c.AnyCommand, more: bool) -> None:
        self.batch.append(command)
        if not more:
            self.flush()

    def flush(self) -> None:
        if not self.batch:
            return
        commands, self.batch = self.batch, []
        self.failed = True  # unless all of the following holds
        logged = entry(self.machine.applied + 1, commands, term=self.term, time_ms=self.now, before=self.machine.digest)
        self.entries.append(logged)
        results, effects = self.machine.apply(logged)
        self.machine.commit()
        expected = self.model.apply(logged)
        assert results == expected
        assert effects.due == self.model.due
        assert effects.aborted == self.model.aborted
        for command, result in zip(commands, results, strict=True):
            self.check_promises(command, result)
        self.check_tables()
        self.failed = False

    # --- promises 2, 4, 5 and 10 of the design ---------------------------------------------------------------------

    def check_promises(self, command: c.AnyCommand, result: c.Result) -> None:  # noqa: C901, PLR0912 - one match
        match command, result:
            case c.CreateJob(key=str() as key), c.Created():
                name = (command.work.tenant, key)
                known = self.acknowledged_keys.get(name)
                if known is not None and known[1] > self.now:
                    assert (command.fingerprint, result.id) == (known[0], known[2]), "5: one key, two jobs"
                else:
                    self.acknowledged_keys[name] = (
                        *(command.fingerprint, command.key_expires_ms),
                        *(result.id, result.seq),
                    )
            case c.ClaimJobs(), c.Claimed():
                for seq, _ in result.granted:
                    assert seq not in self.deleted, "a deleted job was claimed"
                    assert seq not in self.claimed_once, "2: an at-most-once job was claimed after its claim was lost"
                    if seq in self.bound:
                        assert self.bound[seq] is not None, "10: claimed after an acknowledged cancel"
                        assert (seq, self.bound[seq]) in command.claims, "10: claimed as it was before its update"
                        del self.bound[seq]
            case c.CancelJobs(), c.Changed():
                self.bound |= {seq: None for seq in command.seqs if self.state_of(seq) is State.CANCELLED}
            case c.UpdateJob(), c.Changed():
                self.bound[command.seq] = command.due_ms
            case c.RedriveJobs(), c.Changed():
                for seq in command.seqs:
                    if self.state_of(seq) is State.PENDING:
                        self.bound.pop(seq, None)
                        self.claimed_once.discard(seq)
            case c.DeleteJob(seq=seq), c.Changed():
                self.deleted.add(seq)
                self.acknowledged_keys = {
                    key: known for key, known in self.acknowledged_keys.items() if known[3] != seq
                }
                assert not self.rows("SELECT 1 FROM attempts WHERE seq = ?", seq)
            case c.RecordTicks(), c.Changed():
                for _, _, job_id in command.ticks:
                    rows = self.rows("SELECT count(*) FROM jobs WHERE id = ? GROUP BY tenant", job_id)
                    assert all(count == 1 for (count,) in rows), "4: a tick made two jobs"

    def state_of(self, seq: int) -> State | None:
        rows = self.rows("SELECT state FROM jobs WHERE seq = ?", seq)
        return State(rows[0][0]) if rows else None

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.database.writer.execute(query, values).fetchall()

    # --- what must be true after every entry -----------------------------------------------------------------------

    def check_tables(self) -> None:
        assert self.machine.tables.topology == self.model.topology
        assert self.machine.tables.settings_epoch == self.model.settings_epoch
        keys = [(key_id, *self.model.api_keys[key_id]) for key_id in sorted(self.model.api_keys)]
        assert self.rows("SELECT id, record, used_ms FROM api_keys ORDER BY id") == keys
        in_memory = self.machine.tables.api_keys.by_id
        assert sorted((key.id, key.blob, key.used_ms) for key in in_memory.values()) == keys
        rows = self.rows("SELECT number, note, time_ms, action, actor, record FROM audit ORDER BY number")
        assert rows == [
            (
                *(number, note_id, at_ms, note.action, note.actor),
                encode_audit(AuditRecord(note, outcome, changed, code)),
            )
            for number, (note_id, (at_ms, note, outcome, changed, code)) in enumerate(
                self.model.audit.items(), self.model.audit_gone + 1
            )
        ]
        assert self.rows("SELECT name, settings FROM tenants") == sorted(self.model.tenants.items())
        assert self.machine.tables.tenants.rows() == sorted(self.model.tenants.items())
        jobs = self.model.jobs.values()
        assert self.rows(
            "SELECT seq, tenant, id, state, lane, due_ms, run_at_ms, created_ms, finished_ms, attempts,"
            " attempts_before, budget_from_ms, lost, claim_term, claim_deadline_ms, claim_owner, at_most_once, size,"
            " revision, kept_until_ms, schedule FROM jobs ORDER BY seq"
        ) == [
            (
                *(
                    job.seq,
                    job.tenant,
                    job.id,
                    job.state,
                    job.lane,
                    job.due_ms,
                    job.run_at_ms,
                    job.created_ms,
                    job.finished_ms,
                ),
                *(job.attempts, job.attempts_before, job.budget_from_ms, job.lost, *(job.claim or (None, None, None))),
                *(job.at_most_once, job.size, job.revision, job.kept_until_ms, job.schedule),
            )
            for job in jobs
        ]
        assert self.rows("SELECT seq, spec, fingerprint FROM specs ORDER BY seq") == [
            (job.seq, job.spec, job.fingerprint) for job in jobs
        ]
        assert self.rows("SELECT lane, due_ms, seq FROM jobs INDEXED BY jobs_due WHERE state = 0") == sorted(
            (job.lane, job.due_ms, job.seq) for job in jobs if job.state is State.PENDING
        )
        assert self.rows("SELECT tenant, label, seq FROM labels") == sorted(
            {(job.tenant, label, job.seq) for job in jobs for label in job.labels}
        )
        attempts = self.rows("SELECT seq, number, outcome, started_ms FROM attempts")
        assert {(seq, number): tuple(rest) for seq, number, *rest in attempts} == self.model.attempts
        known = self.rows("SELECT tenant, key, seq, fingerprint, expires_ms FROM idempotency_keys")
        assert {(tenant, key): tuple(rest) for tenant, key, *rest in known} == self.model.keys
        destinations = self.rows("SELECT tenant, name, id, settings FROM destinations")
        assert {(tenant, name): tuple(rest) for tenant, name, *rest in destinations} == self.model.destinations
        assert self.rows(
            "SELECT tenant, id, seq, revision, next_tick_ms, paused, last_tick_ms, last_job, made, skipped, spec, work"
            " FROM schedules ORDER BY seq"
        ) == [
            (
                *(*name, known.seq, known.revision, known.next_tick_ms, known.put.paused, known.last_tick_ms),
                *(known.last_job, known.made, known.skipped, known.put.spec, encode_work(known.put.work)),
            )
            for name, known in sorted(self.model.schedules.items(), key=lambda item: item[1].seq)
        ]

    @invariant()
    def nothing_is_kept_of_a_deleted_payload(self) -> None:
        kept = "a.response_headers IS NOT NULL OR a.response_body IS NOT NULL OR j.state < 2"
        join = "jobs j LEFT JOIN attempts a ON a.seq = j.seq"
        assert not self.rows(f"SELECT 1 FROM {join} WHERE j.size = ? AND ({kept})", PAYLOAD_REMOVED)

    @invariant()
    def counters_equal_a_recount(self) -> None:
        recount = {tenant: new_counters() for tenant in ("", "acme")}
        groups = self.rows("SELECT tenant, state, count(*), sum(size) FROM jobs GROUP BY 1, 2")
        for tenant, state, number, size in groups:
            recount[tenant][State(state).label] = number
            recount[tenant]["pending_bytes"] += size if state in OPEN else 0
        assert {tenant: self.machine.tables.counters_of(tenant) for tenant in recount} == recount
        total = {name: sum(own[name] for own in recount.values()) for name in new_counters()}
        assert self.machine.tables.counters == total
        stored = read_counters(self.database.writer)
        assert all(stored.get(tenant, new_counters()) == own for tenant, own in recount.items())

    # --- commands -----------------------------------------------------------------------------------------------------

    more = st.sampled_from([False, False, True])

    def among(self, seq: int, state: State) -> int:
        """Mostly a job in that state, so that commands often hit; sometimes any."""
        fitting = [job.seq for job in self.model.jobs.values() if job.state is state]
        return fitting[seq % len(fitting)] if fitting and seq < 7 else seq

    @rule(passed=st.integers(0, 30))
    def time_passes(self, passed: int) -> None:
        self.flush()
        self.now += passed * SECOND

    @rule(
        spec=specs,
        due=times,
        key=keys,
        window=st.sampled_from([0, 10, 100]),
        body=st.sampled_from([b"f", b"g"]),
        tenant=tenants,
    )
    def create_minted(self, spec: Any, due: int, key: str | None, window: int, body: bytes, tenant: str) -> None:
        self.minted += 1
        expires_ms = self.now + window * SECOND if key else 0
        command = create(
            *(f"m{self.minted}", spec),
            due_ms=self.now + due,
            key=key,
            key_expires_ms=expires_ms,
            fingerprint=body,
            tenant=tenant,
        )
        self.submit(command, more=False)

    @rule(job_id=ids, spec=specs, due=times, key=keys, body=st.sampled_from([b"f", b"g"]), tenant=tenants, more=more)
    def create_chosen(
        self, job_id: str, spec: Any, due: int, key: str | None, body: bytes, tenant: str, more: bool
    ) -> None:
        expires_ms = self.now + 20 * SECOND if key else 0
        command = create(
            job_id,
            spec,
            due_ms=self.now + due,
            key=key,
            key_expires_ms=expires_ms,
            fingerprint=body,
            chosen=True,
            tenant=tenant,
        )
        self.submit(command, more)

    @initialize(first=st.lists(specs, min_size=3, max_size=3))
    def some_jobs(self, first: list[Any]) -> None:
        for spec in first:
            self.minted += 1
            self.submit(create(f"m{self.minted}", spec, due_ms=self.now), more=True)
        self.flush()

    @rule(owner=owners)
    def claim_all(self, owner: str) -> None:
        """Without it few jobs would ever run, and nothing that happens to running jobs be seen."""
        self.flush()
        pending = [job for job in self.model.jobs.values() if job.state is State.PENDING]
        claims = tuple((job.seq, job.due_ms) for job in pending)
        self.submit(c.ClaimJobs(claims, self.now + 5 * SECOND, owner), more=False)

    @rule(
        claimed=st.lists(st.tuples(seqs, st.sampled_from([False, False, True])), min_size=1, max_size=6),
        owner=owners,
        more=more,
    )
    def claim(self, claimed: list[tuple[int, bool]], owner: str, more: bool) -> None:
        """The boolean: claim the job as it was at some other time."""
        claims = []
        for seq, is_stale in claimed:
            job = self.model.jobs.get(seq)
            claims.append((seq, job.due_ms if job is not None and not is_stale else self.now - 1))
        self.submit(c.ClaimJobs(tuple(claims), self.now + 5 * SECOND, owner), more)

    @rule(seq=seqs, age=st.sampled_from([0, 0, 0, 1, -1]), kind=st.integers(0, 3), wait=st.none() | times, more=more)
    def record_outcome(self, seq: int, age: int, kind: int, wait: int | None, more: bool) -> None:
        seq = self.among(seq, State.RUNNING)
        job = self.model.jobs.get(seq)
        attempt = job.attempts - age if job else 1
        state = [State.SUCCEEDED, State.DEAD, State.DEAD, State.UNKNOWN][kind]
        retry_at_ms = None if wait is None or kind == 0 else self.now + wait
        command = outcome(seq, attempt, state=state, kind=kind, retry_at_ms=retry_at_ms, body=b"answer")
        self.submit(command, more)

    @rule(chosen=st.lists(seqs, max_size=4), more=more)
    def cancel(self, chosen: list[int], more: bool) -> None:
        self.submit(c.CancelJobs(tuple(chosen)), more)

    @rule(seq=seqs, spec=st.none() | specs, due=times, is_stale=st.booleans(), more=more)
    def update(self, seq: int, spec: Any, due: int, is_stale: bool, more: bool) -> None:
        """Without a spec: only its time changes."""
        seq = self.among(seq, State.PENDING)
        job = self.model.jobs.get(seq)
        revision = job.revision - is_stale if job else 1
        if spec is None and job is not None:
            spec = decode_spec(job.spec)
        spec = spec or job_spec()
        tenant = job.tenant if job is not None else ""
        command = c.UpdateJob(seq, revision, self.now + due, work_of(spec, tenant))
        self.submit(command, more)

    @rule(chosen=st.lists(seqs, min_size=1, max_size=4), due=times, more=more)
    def redrive(self, chosen: list[int], due: int, more: bool) -> None:
        self.submit(c.RedriveJobs(tuple(chosen), self.now + due), more)

    @rule(
        name=st.tuples(tenants, st.sampled_from(["s1", "s2"])),
        age=st.sampled_from([None, None, 0, 0, 1]),
        spec=specs,
        cron=st.sampled_from([b"* * * * *", b"0 * * * *"]),
        tick=st.none() | st.just("kept") | times,
        flags=st.tuples(st.booleans(), st.sampled_from([False, False, True])),
        more=more,
    )
    def put_schedule(
        self, name: Name, age: int | None, spec: Any, cron: bytes, tick: int | str | None, flags: Any, more: Any
    ) -> None:
        """``age`` None: create; else how old the revision is that the caller read."""
        skip, paused = flags
        next_tick_ms = self.now + tick if isinstance(tick, int) else None
        if tick == "kept" and age is not None and name in self.model.schedules:
            next_tick_ms = c.KEEP_TICK
        known = self.model.schedules.get(name)
        revision = 0 if age is None else (known.revision if known else 1) - age
        command = c.PutSchedule(
            id=name[1],
            revision=revision,
            spec=cron,
            work=work_of(spec, name[0]),
            next_tick_ms=next_tick_ms,
            skip_overlap=skip,
            paused=paused,
        )
        self.submit(command, more)

    @rule(name=st.sampled_from(["s1", "s2", "none"]), tenant=tenants, more=more)
    def delete_schedule(self, name: str, tenant: str, more: bool) -> None:
        self.submit(c.DeleteSchedule(tenant, name), more)

    @rule(
        name=st.sampled_from(["s1", "s2"]),
        count=st.integers(0, 3),
        staleness=st.sampled_from(["", "", "", "revision", "tick", "number"]),
        repeated=st.booleans(),
        following=st.none() | times,
        tenant=tenants,
        more=more,
    )
    def record_ticks(
        self, tenant: str, name: str, count: int, staleness: str, repeated: bool, following: int | None, more: bool
    ) -> None:
        known = self.model.schedules.get((tenant, name))
        expected = (known.next_tick_ms if known else None) or self.now
        first = expected // SECOND - repeated
        command = c.RecordTicks(
            schedule=(known.seq if known else 1) - (staleness == "number"),
            revision=(known.revision if known else 1) - (staleness == "revision"),
            expected_ms=expected - (staleness == "tick"),
            # The id is that of the schedule and the instant, whichever schedule of that name it is.
            ticks=tuple(((first + n) * SECOND, expected, f"{name}-{first + n}") for n in range(count)),
            skipped=count % 2,
            next_tick_ms=None if following is None else self.now + following,
        )
        self.submit(command, more)
        if repeated:
            self.submit(command, more=False)

    @rule(name=st.sampled_from(["s1", "s2", "none"]), due=times, job_id=st.none() | ids, tenant=tenants, more=more)
    def run_schedule(self, name: str, due: int, job_id: str | None, tenant: str, more: bool) -> None:
        self.minted += 1
        self.submit(c.RunSchedule(tenant, name, job_id or f"m{self.minted}", self.now + due), more)

    @rule(
        name=hosts,
        blob=st.sampled_from(
            [encode(DestinationSettings(concurrency=5)), encode(DestinationSettings(paused=True)), DELETED]
        ),
        tenant=tenants,
        more=more,
    )
    def put_destination(self, name: str, blob: bytes, tenant: str, more: bool) -> None:
        self.submit(c.PutDestination(tenant, name, blob), more)

    @rule(
        age=st.integers(0, 40),
        dead_age=st.none() | st.integers(0, 40),
        keep=st.integers(0, 6),
        limit=st.integers(0, 4),
        more=more,
    )
    def purge(self, age: int, dead_age: int | None, keep: int, limit: int, more: bool) -> None:
        dead_before_ms = None if dead_age is None else self.now - dead_age * SECOND
        self.submit(c.PurgeFinished(self.now - age * SECOND, keep, limit, dead_before_ms), more)

    @rule(seq=seqs, more=more)
    def delete_job(self, seq: int, more: bool) -> None:
        self.submit(c.DeleteJob(seq), more)

    @rule(seq=seqs, is_stale=st.sampled_from([False, False, True]), more=more)
    def delete_payload(self, seq: int, is_stale: bool, more: bool) -> None:
        finished = [job.seq for job in self.model.jobs.values() if job.state in FINISHED]
        seq = finished[seq % len(finished)] if finished and seq < 7 else seq
        job = self.model.jobs.get(seq)
        spec = decode_spec(job.spec) if job else job_spec()
        revision = job.revision - is_stale if job else 1
        self.submit(c.DeletePayload(seq, revision, encode_spec(without_payload(spec))), more)

    @rule(limit=st.integers(0, 3), more=more)
    def purge_keys(self, limit: int, more: bool) -> None:
        self.submit(c.PurgeKeys(self.now, limit), more)

    @rule(
        step=st.sampled_from([-1, 0, 0, 1]),
        document=st.sampled_from([b"{}", b"[]"]),
        shard=st.sampled_from([None, 0, 1]),
        more=more,
    )
    def set_topology(self, step: int, document: bytes, shard: int | None, more: bool) -> None:
        epoch = self.model.topology.epoch if self.model.topology else 2
        self.submit(c.SetTopology(epoch + step, document, shard), more)

    @rule(
        step=st.sampled_from([0, 1]),
        name=hosts,
        blob=st.sampled_from(
            [encode(DestinationSettings(concurrency=5)), encode(DestinationSettings(paused=True)), DELETED]
        ),
        is_last=st.booleans(),
        tenant=tenants,
        more=more,
    )
    def import_destinations(self, step: int, name: str, blob: bytes, is_last: bool, tenant: str, more: bool) -> None:
        epoch = self.model.topology.epoch if self.model.topology else 2
        self.submit(c.ImportDestinations(epoch + step, ((tenant, name, blob),), is_last, ((tenant, REMOVED),)), more)

    @rule(owner=owners, dead=st.lists(owners, max_size=2, unique=True), claim_by=st.none() | owners)
    def begin_term(self, owner: str, dead: list[str], claim_by: str | None) -> None:
        if claim_by is not None:
            self.claim_all(claim_by)
        self.flush()
        claims = self.rows("SELECT seq, attempts, claim_owner, at_most_once FROM jobs WHERE state = 1")
        self.term += 1
        self.submit(c.BeginTerm(owner, tuple(dead)), more=False)
        for seq, attempt, its_owner, once in claims:
            is_earlier_process = its_owner[:-1] == owner[:-1] and its_owner != owner
            is_open = self.rows("SELECT 1 FROM jobs WHERE seq = ? AND state = 1 AND attempts = ?", seq, attempt)
            assert bool(is_open) != (its_owner in dead or is_earlier_process), "2: lost, though its owner may live"
            if once and not is_open:
                self.claimed_once.add(seq)

    @rule(passed=st.integers(0, 40), owner=owners)
    def expire_claims(self, passed: int, owner: str) -> None:
        self.flush()
        self.now += passed * SECOND
        over = "state = 1 AND at_most_once AND (claim_term < ? OR claim_owner <> ?) AND claim_deadline_ms <= ?"
        once = self.rows(f"SELECT seq FROM jobs WHERE {over}", self.term, owner, self.now)
        self.claimed_once |= {seq for (seq,) in once}
        self.submit(c.ExpireClaims(owner), more=False)

    @rule(data=st.data(), is_of_now=st.booleans())
    def lose_claims(self, data: st.DataObject, is_of_now: bool) -> None:
        self.flush()
        claims = self.rows("SELECT seq, attempts, at_most_once FROM jobs WHERE state = 1")
        lost = [claim for claim in claims if data.draw(st.booleans())]
        self.claimed_once |= {seq for seq, _, once in lost if once and is_of_now}
        self.submit(c.LoseClaims(tuple((seq, attempt + (not is_of_now)) for seq, attempt, _ in lost)), more=False)

    @rule(mode=st.sampled_from(list(ATTEMPTING)))
    def set_mode(self, mode: Mode) -> None:
        self.submit(c.SetMode(mode), more=False)
        self.flush()
        assert self.machine.tables.mode == mode

    @rule(
        tenant=tenants,
        settings=st.sampled_from([REMOVED, *map(encode_tenant, (UNLIMITED, TenantSettings(7)))]),
        more=more,
    )
    def put_tenant(self, tenant: str, settings: bytes, more: bool) -> None:
        self.submit(c.PutTenant(tenant, settings), more)

    @rule(key_id=st.sampled_from(["k1", "k2"]), data=st.data(), more=more)
    def put_api_key(self, key_id: str, data: st.DataObject, more: bool) -> None:
        record = ApiKey("", "ci", ("read",), (KeySecret(b"h"),), T0)
        known = self.model.api_keys.get(key_id)
        if known is not None and data.draw(st.booleans()):
            record = decode_key(known[0])
        step = data.draw(st.integers(-1, 1))
        record = changed(record, revision=record.revision + step, name=data.draw(st.sampled_from(["ci", "dj"])))
        if data.draw(st.sampled_from([False, False, True])):
            record = record.revoked(self.now)
        self.submit(c.PutApiKeys(((key_id, encode_key(record)), ("k3", encode_key(record)))), more)

    @rule(note=st.sampled_from(["r1", "r2", "r3"]), only_changes=st.booleans(), more=st.booleans())
    def note_audit(self, note: str, only_changes: bool, more: bool) -> None:
        told = c.AuditNote(note, "putKey", actor="k")
        self.submit(c.NoteAudit(told, min(1, len(self.batch)), "refused", "forbidden", only_changes), more)

    @rule(age=times, keep=st.integers(0, 3), limit=st.integers(1, 3), more=st.booleans())
    def purge_audit(self, age: int, keep: int, limit: int, more: bool) -> None:
        self.submit(c.PurgeAudit(self.now - age, keep, limit), more)

    @rule(key_id=st.sampled_from(["k1", "k2", "none"]), more=more)
    def touch_api_key(self, key_id: str, more: bool) -> None:
        self.submit(c.TouchApiKeys(((key_id, self.now), (key_id, self.now - SECOND))), more)

    @rule()
    def restart(self) -> None:
        self.flush()
        self.database.close()
        self.database = open_state(self.path / "state.db", durable=False)
        self.machine = StateMachine(self.database)

    # --- the same log again -----------------------------------------------------------------------------------------

    def teardown(self) -> None:
        with self.files:
            if not self.failed:
                self.check_replay()
            self.database.close()

    def check_replay(self) -> None:
        self.flush()
        for job in self.model.jobs.values():
            assert (job.state in OPEN) != (job.state in FINISHED)
        expected = everything(self.database)
        check_contents(self.database.reader)  # the sums are those of the rows
        half = len(self.entries) // 2
        assert replay(self.path / "again.db", self.entries, reopen_after=half) == (self.machine.digest, expected)


def replay(path: Path, entries: list[Entry], *, reopen_after: int) -> tuple[bytes, dict[str, list[tuple[Any, ...]]]]:
    """Digest and content after the same log: through the codec, with a restart on the way, in a hostile environment."""
    database = open_state(path, durable=False)
    machine = StateMachine(database)
    with hostile_environment():
        for number, logged in enumerate(entries):
            if number == reopen_after:
                database.close()
                database = open_state(path, durable=False)
                machine = StateMachine(database)
            machine.apply(decode_entry(encode_entry(logged)))
            machine.commit()
    content = everything(database)
    database.close()
    return machine.digest, content


class Impure(BaseException):
    """The state machine asked for what differs between nodes. Not an Exception: its guard must not swallow it."""


def hostile_environment() -> ExitStack:
    """Until it ends, time, randomness and fresh ids raise, and the zone is another one."""

    def refuse(*_: object, **__: object) -> None:
        raise Impure

    patch = pytest.MonkeyPatch()
    stack = ExitStack()
    stack.callback(time.tzset)
    stack.callback(patch.undo)
    patch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    for module, name in [(time, "time"), (time, "time_ns"), (random, "random"), (os, "urandom"), (uuid, "uuid4")]:
        patch.setattr(module, name, refuse)
    return stack


def test_the_state_machine_does_what_the_model_says() -> None:
    run_state_machine_as_test(
        StateMachineAgainstModel,
        settings=settings(max_examples=60, stateful_step_count=40),
    )
