-- What a leader reads, by name; {Name} are the columns of a type in leader_reads.py.

-- name: lanes
WITH RECURSIVE found(lane) AS (
    SELECT min(lane) FROM jobs WHERE state = 0
    UNION ALL
    SELECT (SELECT min(lane) FROM jobs WHERE state = 0 AND lane > found.lane) FROM found WHERE found.lane IS NOT NULL
)
SELECT lane FROM found WHERE lane IS NOT NULL

-- name: lane_rows
SELECT due_ms, seq FROM jobs WHERE state = 0 AND lane = ?1 AND (due_ms, seq) > (?2, ?3) ORDER BY due_ms, seq LIMIT ?4

-- name: claimed
SELECT {ClaimedRow} FROM jobs j JOIN specs s ON s.seq = j.seq WHERE j.seq IN carray(?)

-- name: open_claims
SELECT {ClaimRef} FROM jobs WHERE state = 1 AND seq IN carray(?)

-- name: claims_of
SELECT {ClaimRef}, claim_term FROM jobs WHERE state = 1 AND claim_owner = ?1 AND claim_term < ?2 ORDER BY seq

-- name: claim_owners
SELECT DISTINCT claim_owner FROM jobs WHERE state = 1 ORDER BY claim_owner

-- name: named
SELECT {NamedJob} FROM jobs j JOIN destinations d ON d.id = j.lane >> 9 WHERE j.seq IN carray(?)

-- name: due_schedules
SELECT {DueSchedule} FROM schedules WHERE paused = 0 AND next_tick_ms IS NOT NULL AND next_tick_ms <= ?1 ORDER BY next_tick_ms LIMIT ?2

-- name: active_schedules
SELECT {ActiveSchedule} FROM schedules WHERE paused = 0 AND seq > ?1 ORDER BY seq LIMIT ?2

-- name: next_tick
SELECT min(next_tick_ms) FROM schedules WHERE paused = 0 AND next_tick_ms IS NOT NULL

-- name: oldest_finished
SELECT min(finished_ms) FROM jobs WHERE (state = 3) = ? AND finished_ms IS NOT NULL

-- name: oldest_key
SELECT min(expires_ms) FROM idempotency_keys

-- name: oldest_audit
SELECT (SELECT time_ms FROM audit ORDER BY number LIMIT 1)

-- name: audit_rows
SELECT max(number) - min(number) + 1 FROM audit

-- name: destinations
SELECT {ConfiguredRow} FROM destinations WHERE settings IS NOT NULL

-- name: destination
SELECT {ConfiguredRow} FROM destinations WHERE id = ?

-- name: destination_number
SELECT id FROM destinations WHERE tenant = ? AND name = ?

-- name: first_claim_to_end
SELECT min(claim_deadline_ms) FROM jobs WHERE state = 1 AND (claim_term < ?1 OR claim_owner <> ?2)
