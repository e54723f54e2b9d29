-- What a leader reads to move jobs and schedules to other clusters, by name; {Name} are the columns of a type in move_reads.py.

-- name: jobs_after
SELECT {JobSign} FROM jobs WHERE seq > ? ORDER BY seq LIMIT ?

-- name: schedules_after
SELECT {ScheduleSign} FROM schedules s LEFT JOIN jobs j ON j.seq = s.last_job WHERE s.seq > ? ORDER BY s.seq LIMIT ?

-- name: schedule_record
SELECT {ScheduleRecord} FROM schedules WHERE seq = ?

-- name: keys_after
SELECT {KeySign} FROM idempotency_keys WHERE rowid > ? ORDER BY rowid LIMIT ?

-- name: keys_elsewhere_after
SELECT {KeyElsewhere} FROM elsewhere WHERE kind = 1 AND (tenant, name) > (?, ?) ORDER BY tenant, name LIMIT ?

-- name: has_elsewhere
SELECT EXISTS (SELECT 1 FROM elsewhere WHERE moved = ?1 AND until_ms = 0),
       EXISTS (SELECT 1 FROM elsewhere WHERE until_ms > 0 AND until_ms < ?2)
