-- The state of a node. Only the state machine writes here, and only while it applies a log entry.
-- Times are integer milliseconds since 1970 UTC.
-- A name that a tenant chose is unique among that tenant's only. The default tenant is the empty text.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;

-- Each tenant's jobs by state and bytes of pending payload, kept so that limits and metrics cost nothing.
CREATE TABLE counters (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE destinations (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,                 -- scheme://host:port
    settings BLOB,                      -- MessagePack of DestinationSettings; NULL: the defaults
    UNIQUE (tenant, name)
);

-- The small, often changed part of a job. What is large and fixed is in specs, so an update rewrites few bytes.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,            -- order of acceptance
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    state INTEGER NOT NULL,
    lane INTEGER NOT NULL,              -- destination, priority, is a retry: see protocol/jobs.py
    due_ms INTEGER NOT NULL,            -- of the next attempt, while pending; of the last one after that
    run_at_ms INTEGER NOT NULL,         -- asked for by the client
    created_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,        -- claims so far
    attempts_before INTEGER NOT NULL DEFAULT 0, -- of which before the last redrive, or free: not in the budget
    budget_from_ms INTEGER NOT NULL,            -- where the retry budget starts to count
    lost INTEGER NOT NULL DEFAULT 0,            -- claims in a row without an outcome
    claim_term INTEGER,
    claim_deadline_ms INTEGER,
    claimed_ms INTEGER,                 -- when its newest attempt was claimed
    claim_owner TEXT,                   -- the process that makes the attempt: see protocol/owners.py
    at_most_once INTEGER NOT NULL,
    size INTEGER NOT NULL,              -- bytes of the payload; -1: it was deleted
    timeout_ms INTEGER NOT NULL,        -- of one attempt
    revision INTEGER NOT NULL DEFAULT 1,
    kept_until_ms INTEGER NOT NULL DEFAULT 0,   -- an idempotency key still points here
    schedule INTEGER,                   -- the schedule that made it
    UNIQUE (id, tenant)
);
CREATE INDEX jobs_due ON jobs (lane, due_ms) WHERE state = 0;
CREATE INDEX jobs_by_state ON jobs (state, tenant) WHERE state <> 2;
CREATE INDEX jobs_of_tenant ON jobs (tenant) WHERE tenant <> ''; -- the default tenant has the order of acceptance
CREATE INDEX jobs_finished ON jobs (state = 3, finished_ms) WHERE finished_ms IS NOT NULL; -- dead ones stay longer

CREATE TABLE specs (
    seq INTEGER PRIMARY KEY,
    spec BLOB NOT NULL,                 -- MessagePack of JobSpec
    fingerprint BLOB NOT NULL,          -- of the request that made it; empty when its id was minted
    sum INTEGER NOT NULL                -- sums.job_sum: checked when it is read
);

CREATE TABLE labels (
    tenant TEXT NOT NULL,
    label TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tenant, label, seq)
) WITHOUT ROWID;

CREATE TABLE attempts (
    seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    started_ms INTEGER NOT NULL,
    duration_ms INTEGER,                -- NULL: nobody knows, since whoever made it was lost
    node TEXT NOT NULL,
    term INTEGER NOT NULL,
    response_headers BLOB,              -- MessagePack of pairs
    response_body BLOB,
    PRIMARY KEY (seq, number)
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    key TEXT NOT NULL,
    tenant TEXT NOT NULL,
    seq INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (key, tenant)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_ms);
CREATE INDEX idempotency_keys_of_job ON idempotency_keys (seq);

-- Who may call the API. No text of a key is kept, only hashes.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    record BLOB NOT NULL,               -- MessagePack of ApiKey
    used_ms INTEGER NOT NULL DEFAULT 0  -- about; 0: never
) WITHOUT ROWID;

-- Who changed what. The oldest rows go first, so the numbers that are there have no gap.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    note TEXT NOT NULL UNIQUE,          -- id of the request
    time_ms INTEGER NOT NULL,
    action TEXT NOT NULL,               -- the call's name
    actor TEXT NOT NULL,                -- id of the API key, root, or empty
    record BLOB NOT NULL                -- MessagePack of AuditRecord
);
-- What is set for tenants.
CREATE TABLE tenants (
    name TEXT PRIMARY KEY,
    settings BLOB NOT NULL              -- MessagePack of TenantSettings; empty: it was deleted
) WITHOUT ROWID;

CREATE TABLE schedules (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- never one of a deleted schedule: its jobs and claims still name it
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    spec BLOB NOT NULL,                 -- MessagePack of ScheduleSpec
    work BLOB NOT NULL,                 -- MessagePack of Work: what each of its jobs does
    next_tick_ms INTEGER,
    skip_overlap INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    last_tick_ms INTEGER,
    last_job INTEGER,
    made INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, id)
);
CREATE INDEX schedules_next ON schedules (next_tick_ms) WHERE next_tick_ms IS NOT NULL AND paused = 0;

-- Names of what is at another cluster: it moved there, or has its home here and is kept there.
CREATE TABLE elsewhere (
    tenant TEXT NOT NULL,
    kind INTEGER NOT NULL,              -- see protocol/moves.py
    name TEXT NOT NULL,
    shard INTEGER NOT NULL,             -- of the cluster that has it
    moved INTEGER NOT NULL,             -- it was here
    until_ms INTEGER NOT NULL,          -- nobody can ask for it afterwards; 0: as long as the topology changes
    PRIMARY KEY (tenant, kind, name)
) WITHOUT ROWID;

-- What other clusters give up next, inert until they have; of each history of a cluster the newest.
CREATE TABLE arrivals (
    source TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    batch BLOB                          -- MessagePack of Batch; NULL: it counts here
) WITHOUT ROWID;

-- What this cluster gave up; of each cluster that takes it the newest.
CREATE TABLE departures (
    shard INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    departure BLOB,                     -- MessagePack of Departure; NULL: it counts there
    jobs INTEGER NOT NULL,              -- that went there since the topology changed
    schedules INTEGER NOT NULL
);
