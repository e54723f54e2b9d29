-- What the API reads, by name; {Name} are the columns of a type in read_rows.py. Committed state only, through the query_only connection.

-- name: job_by_id
SELECT {StoredJob}, {LastAttemptRow} FROM jobs j JOIN specs s ON s.seq = j.seq LEFT JOIN schedules c ON c.seq = j.schedule
LEFT JOIN attempts a ON a.seq = j.seq AND a.number = (SELECT max(number) FROM attempts WHERE seq = j.seq)
WHERE j.id = ? AND j.tenant = ?

-- name: job_by_seq
SELECT {StoredJob}, {LastAttemptRow} FROM jobs j JOIN specs s ON s.seq = j.seq LEFT JOIN schedules c ON c.seq = j.schedule
LEFT JOIN attempts a ON a.seq = j.seq AND a.number = (SELECT max(number) FROM attempts WHERE seq = j.seq)
WHERE j.seq = ?

-- name: state_of
SELECT state FROM jobs WHERE id = ? AND tenant = ?

-- name: accepted
SELECT state, created_ms FROM jobs WHERE id = ? AND tenant = ?

-- name: seq_of
SELECT seq FROM jobs WHERE id = ? AND tenant = ?

-- name: job_of_key
SELECT j.id FROM idempotency_keys k JOIN jobs j ON j.seq = k.seq WHERE k.key = ?1 AND k.tenant = ?2 AND k.expires_ms > ?3

-- name: elsewhere
SELECT shard, moved FROM elsewhere WHERE tenant = ? AND kind = ? AND name = ?

-- name: attempts
SELECT {AttemptRecord} FROM attempts WHERE seq = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3

-- name: window
SELECT {Match} FROM jobs j WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2

-- name: window_of_tenant
SELECT {Match} FROM jobs j WHERE tenant = ?3 AND tenant <> '' AND seq < ?1 ORDER BY seq DESC LIMIT ?2

-- name: window_of_state
SELECT {Match} FROM jobs j WHERE state = ?4 AND state <> 2 AND tenant = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2

-- name: window_of_label
SELECT {Match} FROM labels l JOIN jobs j ON j.seq = l.seq WHERE l.tenant = ?3 AND l.label = ?4 AND l.seq < ?1 ORDER BY l.seq DESC LIMIT ?2

-- name: last_answers
SELECT a.seq, a.status, a.error FROM json_each(?1) wanted CROSS JOIN attempts a
WHERE a.seq = wanted.value AND a.number = (SELECT max(number) FROM attempts WHERE seq = wanted.value)

-- name: newest_until
SELECT {Accepted} FROM jobs WHERE seq <= ? ORDER BY seq DESC LIMIT 1

-- name: next_label
SELECT min(label) FROM labels WHERE tenant = ?3 AND label > ?1 AND label < ?2

-- name: schedule_number
SELECT {Accepted} FROM schedules WHERE tenant = ? AND id = ?

-- name: schedule_by_id
SELECT {ScheduleRow} FROM schedules c LEFT JOIN jobs j ON j.seq = c.last_job WHERE c.tenant = ? AND c.id = ?

-- name: schedules_after
SELECT {ScheduleRow} FROM schedules c LEFT JOIN jobs j ON j.seq = c.last_job WHERE c.tenant = ?3 AND c.id > ?1 ORDER BY c.id LIMIT ?2

-- name: destination
SELECT {StoredDestination} FROM destinations d WHERE tenant = ? AND name = ?

-- name: destinations_after
SELECT {StoredDestination} FROM destinations d
WHERE d.tenant = ?3 AND d.name > ?1 AND (d.settings IS NULL OR length(d.settings) > 0
    OR EXISTS (SELECT 1 FROM jobs WHERE state = 0 AND lane >= d.id << 9 AND lane < (d.id + 1) << 9)
    OR EXISTS (SELECT 1 FROM jobs WHERE state = 1 AND state <> 2 AND tenant = d.tenant AND lane >= d.id << 9 AND lane < (d.id + 1) << 9))
ORDER BY d.name LIMIT ?2

-- name: is_busy
SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 0 AND lane >= d.id << 9 AND lane < (d.id + 1) << 9)
    OR EXISTS (SELECT 1 FROM jobs WHERE state = 1 AND state <> 2 AND tenant = d.tenant AND lane >= d.id << 9 AND lane < (d.id + 1) << 9)
FROM destinations d WHERE d.id = ?

-- name: destinations_set
SELECT {StoredDestination} FROM destinations d WHERE id > ?1 AND settings IS NOT NULL ORDER BY id LIMIT ?2

-- name: api_key
SELECT record FROM api_keys WHERE id = ?

-- name: audit_before
SELECT {AuditRow} FROM audit WHERE number < ?1 ORDER BY number DESC LIMIT ?2
