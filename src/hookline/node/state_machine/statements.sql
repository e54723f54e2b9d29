-- Every statement that apply runs, by name; {Name} are the columns of a type in rows.py. Reads for the API are in reads.sql.

-- name: put_meta
INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2

-- name: delete_meta
DELETE FROM meta WHERE name = ?

-- name: put_counter
INSERT INTO counters (tenant, name, value) VALUES (?1, ?2, ?3) ON CONFLICT (tenant, name) DO UPDATE SET value = ?3

-- name: insert_destination
INSERT INTO destinations (tenant, name) VALUES (?, ?) RETURNING id

-- name: destination_row
SELECT id, tenant, name, settings FROM destinations WHERE id = ?

-- name: destination_settings
SELECT settings FROM destinations WHERE id = ?

-- name: put_destination
UPDATE destinations SET settings = ?2 WHERE id = ?1

-- name: key
SELECT {KeyRow} FROM idempotency_keys k LEFT JOIN jobs j ON j.seq = k.seq WHERE k.key = ? AND k.tenant = ?

-- name: stored_key
SELECT {StoredKey} FROM idempotency_keys WHERE key = ? AND tenant = ?

-- name: put_key
INSERT INTO idempotency_keys (key, tenant, seq, fingerprint, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (key, tenant) DO UPDATE SET seq = ?3, fingerprint = ?4, expires_ms = ?5

-- name: job_by_id
SELECT {KnownJob} FROM jobs j JOIN specs s ON s.seq = j.seq WHERE j.id = ? AND j.tenant = ?

-- name: seq_in_use
SELECT 1 FROM jobs WHERE seq = ?

-- name: insert_job
INSERT INTO jobs (seq, id, tenant, state, lane, due_ms, run_at_ms, created_ms, budget_from_ms, at_most_once, size,
                  timeout_ms, kept_until_ms, schedule)
VALUES (?1, ?2, ?3, 0, ?4, ?5, ?5, ?6, ?5, ?7, ?8, ?9, ?10, ?11)

-- name: restore_job
UPDATE jobs SET state = ?2, lane = lane | ?3, run_at_ms = ?4, budget_from_ms = ?5, finished_ms = ?6, claimed_ms = ?7,
                attempts = ?8, attempts_before = ?9, lost = ?10, revision = ?11, claim_term = ?12,
                claim_deadline_ms = ?13, claim_owner = ?14
WHERE seq = ?1 RETURNING lane

-- name: insert_spec
INSERT INTO specs (seq, spec, fingerprint, sum) VALUES (?, ?, ?, ?)

-- name: insert_label
INSERT OR IGNORE INTO labels (tenant, label, seq) VALUES (?, ?, ?)

-- name: delete_label
DELETE FROM labels WHERE tenant = ? AND label = ? AND seq = ?

-- name: keep_job
UPDATE jobs SET kept_until_ms = max(kept_until_ms, ?2) WHERE seq = ?1

-- name: pending_lane
SELECT lane FROM jobs WHERE seq = ? AND state = 0 AND due_ms = ?

-- name: claim_job
UPDATE jobs SET state = 1, attempts = attempts + 1, claim_term = ?3, claim_deadline_ms = ?4 + timeout_ms,
                claimed_ms = ?5, claim_owner = ?6
WHERE seq = ?1 AND state = 0 AND due_ms = ?2 RETURNING {GrantedClaim}

-- name: finish_job
UPDATE jobs SET state = ?3, finished_ms = ?4, lost = 0, claim_term = NULL, claim_deadline_ms = NULL,
                claim_owner = NULL
WHERE seq = ?1 AND state = 1 AND attempts = ?2 RETURNING {FinishedJob}

-- name: retry_job
UPDATE jobs SET state = 0, due_ms = ?3, lane = lane | 1, lost = 0, claim_term = NULL, claim_deadline_ms = NULL,
                claim_owner = NULL, attempts_before = attempts_before + ?4
WHERE seq = ?1 AND state = 1 AND attempts = ?2 RETURNING {RetriedJob}

-- name: insert_attempt
INSERT OR IGNORE INTO attempts (seq, {AttemptRecord}) VALUES (?, {attempt_places})

-- name: cancelled_in_flight
SELECT 1 FROM jobs WHERE seq = ? AND state = 4 AND attempts = ? AND claim_term IS NOT NULL

-- name: cancel_job
UPDATE jobs SET state = 4, finished_ms = ?2 WHERE seq = ?1 AND state IN (0, 1) RETURNING {CancelledJob}

-- name: state_of
SELECT state FROM jobs WHERE seq = ?

-- name: update_job
UPDATE jobs SET lane = ?3, due_ms = ?4, at_most_once = ?5, size = ?6, timeout_ms = ?7, revision = revision + 1,
                run_at_ms = CASE WHEN due_ms = ?4 THEN run_at_ms ELSE ?4 END,
                budget_from_ms = CASE WHEN due_ms = ?4 THEN budget_from_ms ELSE ?4 END
WHERE seq = ?1 AND state = 0 AND revision = ?2

-- name: job_before_update
SELECT {JobBefore} FROM jobs j JOIN specs s ON s.seq = j.seq WHERE j.seq = ?

-- name: update_spec
UPDATE specs SET spec = ?2, sum = ?3 WHERE seq = ?1

-- name: redrive_job
UPDATE jobs SET state = 0, due_ms = ?2, lane = lane & ~1, finished_ms = NULL, lost = 0, claim_term = NULL,
                claim_deadline_ms = NULL, claim_owner = NULL, attempts_before = attempts, budget_from_ms = ?2
WHERE seq = ?1 AND state > 1 AND size >= 0 RETURNING {RedrivenJob}

-- name: open_claims
SELECT {OpenClaim} FROM jobs WHERE state = 1 ORDER BY seq

-- name: expired_claims
SELECT {OpenClaim} FROM jobs WHERE state = 1 AND claim_deadline_ms <= ?2 AND (claim_term < ?1 OR claim_owner <> ?3)
ORDER BY seq

-- name: open_claim
SELECT {OpenClaim} FROM jobs WHERE seq = ?1 AND state = 1 AND attempts = ?2

-- name: lose_claim
UPDATE jobs SET state = ?2, due_ms = ?3, finished_ms = ?4, lost = ?5, claim_term = NULL, claim_deadline_ms = NULL,
                claim_owner = NULL
WHERE seq = ?1

-- name: schedule_by_id
SELECT {KnownSchedule} FROM schedules WHERE tenant = ? AND id = ?

-- name: schedule_number
SELECT seq FROM schedules WHERE tenant = ? AND id = ?

-- name: schedule_row
SELECT * FROM schedules WHERE seq = ?

-- name: insert_schedule
INSERT INTO schedules (tenant, id, revision, spec, work, next_tick_ms, skip_overlap, paused, created_ms)
VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?) RETURNING seq

-- name: update_schedule
UPDATE schedules SET revision = revision + 1, spec = ?2, work = ?3,
                     next_tick_ms = CASE WHEN ?4 = -1 THEN next_tick_ms ELSE ?4 END, skip_overlap = ?5, paused = ?6
WHERE seq = ?1

-- name: delete_schedule
DELETE FROM schedules WHERE tenant = ? AND id = ? RETURNING *

-- name: schedule_for_ticks
SELECT {TickingSchedule} FROM schedules WHERE seq = ?

-- name: move_schedule
UPDATE schedules SET next_tick_ms = ?2, last_tick_ms = coalesce(?3, last_tick_ms), last_job = ?4, made = made + ?5,
                     skipped = skipped + ?6
WHERE seq = ?1

-- name: finished_before
SELECT seq FROM jobs WHERE (state = 3) = ?1 AND finished_ms IS NOT NULL AND finished_ms < ?2 AND kept_until_ms <= ?3
ORDER BY finished_ms, seq LIMIT ?4

-- name: finished_oldest
SELECT seq FROM (
    SELECT * FROM (SELECT finished_ms, seq FROM jobs WHERE (state = 3) = 0 AND finished_ms IS NOT NULL
                   AND kept_until_ms <= ?1 ORDER BY finished_ms, seq LIMIT ?2)
    UNION ALL
    SELECT * FROM (SELECT finished_ms, seq FROM jobs WHERE (state = 3) = 1 AND finished_ms IS NOT NULL
                   AND kept_until_ms <= ?1 ORDER BY finished_ms, seq LIMIT ?2)
) ORDER BY finished_ms, seq LIMIT ?2

-- name: purge_job
DELETE FROM jobs WHERE seq = ? RETURNING {PurgedJob}

-- name: purge_spec
DELETE FROM specs WHERE seq = ? RETURNING {PurgedSpec}

-- name: purge_attempts
DELETE FROM attempts WHERE seq = ?

-- name: delete_keys_of
DELETE FROM idempotency_keys WHERE expires_ms = (SELECT kept_until_ms FROM jobs WHERE seq = ?1) AND seq = ?1
RETURNING {StoredKey}

-- name: mark_without_payload
UPDATE jobs SET size = ?2, claim_term = NULL, claim_deadline_ms = NULL, claim_owner = NULL WHERE seq = ?1

-- name: blank_attempts
UPDATE attempts SET response_headers = NULL, response_body = NULL WHERE seq = ?1 AND number IN (
    SELECT number FROM attempts
    WHERE seq = ?1 AND (response_headers IS NOT NULL OR response_body IS NOT NULL) ORDER BY number LIMIT ?2)

-- name: expired_keys
SELECT {StoredKey} FROM idempotency_keys WHERE expires_ms < ? ORDER BY expires_ms, key, tenant LIMIT ?

-- name: purge_key
DELETE FROM idempotency_keys WHERE key = ? AND tenant = ?

-- name: api_key
SELECT {ApiKeyRow} FROM api_keys WHERE id = ?

-- name: put_api_key
INSERT OR REPLACE INTO api_keys (id, record, used_ms) VALUES (?, ?, ?)

-- name: delete_api_key
DELETE FROM api_keys WHERE id = ?

-- name: tenant
SELECT name, settings FROM tenants WHERE name = ?

-- name: put_tenant
INSERT OR REPLACE INTO tenants (name, settings) VALUES (?, ?)

-- name: delete_tenant
DELETE FROM tenants WHERE name = ?

-- name: all_tenants
SELECT name, settings FROM tenants ORDER BY name

-- name: all_api_keys
SELECT {ApiKeyRow} FROM api_keys ORDER BY id

-- name: audit_of
SELECT {AuditRow} FROM audit WHERE note = ?

-- name: insert_audit
INSERT INTO audit (note, time_ms, action, actor, record) VALUES (?, ?, ?, ?, ?) RETURNING number

-- name: replace_audit
UPDATE audit SET record = ?2 WHERE number = ?1

-- name: oldest_audit
SELECT {AuditRow} FROM audit ORDER BY number LIMIT ?

-- name: newest_audit
SELECT number FROM audit ORDER BY number DESC LIMIT 1

-- name: delete_audit
DELETE FROM audit WHERE number = ?

-- name: job_to_move
SELECT {MovingJob} FROM jobs WHERE seq = ?1 AND state = ?2 AND due_ms = ?3 AND revision = ?4 AND attempts = ?5

-- name: keys_to_move
DELETE FROM idempotency_keys WHERE seq = ? RETURNING {StoredKey}

-- name: schedule_to_move
SELECT {MovingSchedule} FROM schedules
WHERE seq = ?1 AND revision = ?2 AND made + skipped = ?3 AND next_tick_ms IS ?4

-- name: drop_schedule
DELETE FROM schedules WHERE seq = ?

-- name: take_schedule
INSERT INTO schedules (tenant, id, revision, spec, work, next_tick_ms, skip_overlap, paused, created_ms, last_tick_ms,
                       made, skipped)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq

-- name: elsewhere
SELECT shard FROM elsewhere WHERE tenant = ? AND kind = ? AND name = ?

-- name: pointer
SELECT shard FROM elsewhere WHERE tenant = ? AND kind = ? AND name = ? AND NOT moved

-- name: key_elsewhere
SELECT shard FROM elsewhere WHERE tenant = ?1 AND kind = 1 AND name = ?2 AND (until_ms = 0 OR until_ms > ?3)

-- name: put_elsewhere
INSERT INTO elsewhere (tenant, kind, name, shard, moved, until_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)

-- name: delete_elsewhere
DELETE FROM elsewhere WHERE tenant = ? AND kind = ? AND name = ?

-- name: purge_elsewhere
DELETE FROM elsewhere WHERE (tenant, kind, name) IN (
    SELECT tenant, kind, name FROM elsewhere
    WHERE (until_ms > 0 AND until_ms < ?1) OR (until_ms = 0 AND moved AND ?2)
    ORDER BY tenant, kind, name LIMIT ?3)

-- name: arrival
SELECT source, number, batch FROM arrivals WHERE source = ?

-- name: put_arrival
INSERT INTO arrivals (source, number, batch) VALUES (?1, ?2, ?3) ON CONFLICT (source) DO UPDATE SET number = ?2, batch = ?3

-- name: departure
SELECT shard, number, departure, jobs, schedules FROM departures WHERE shard = ?

-- name: put_departure
INSERT INTO departures (shard, number, departure, jobs, schedules) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (shard) DO UPDATE SET number = ?2, departure = ?3, jobs = ?4, schedules = ?5
