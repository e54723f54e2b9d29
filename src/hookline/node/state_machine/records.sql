-- How a whole job is read, by name; {Name} are the columns of a type in rows.py or protocol/jobs.py.

-- name: whole_job
SELECT {WholeJob}, {WholeJobSpec}
FROM jobs j JOIN specs s ON s.seq = j.seq JOIN destinations d ON d.id = j.lane >> 9
LEFT JOIN schedules c ON c.seq = j.schedule WHERE j.seq = ?

-- name: keys_of
SELECT {KeyRecord} FROM idempotency_keys WHERE seq = ? ORDER BY expires_ms, key

-- name: history
SELECT {AttemptRecord} FROM attempts WHERE seq = ? ORDER BY number

-- name: open_jobs
SELECT j.seq FROM jobs j JOIN specs s ON s.seq = j.seq WHERE j.state IN (0, 1) ORDER BY j.seq
