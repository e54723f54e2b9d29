// pg-boss with PostgreSQL.
// - One worker process that fetches up to `batchSize` jobs and does them side by side; `perJobResults` settles each by
//   itself; while batches are full it fetches without a pause (`burstWhenBatchFull`), else every half a second, the
//   least that is allowed: https://timgit.github.io/pg-boss/#/./api/workers
// - Jobs of a killed worker come back when the monitor sees that `heartbeatSeconds` have passed; by default only after
//   15 minutes (`expireInSeconds`): https://timgit.github.io/pg-boss/#/./api/queues
// - `insert` enqueues many at once: https://timgit.github.io/pg-boss/#/./api/jobs
import { PgBoss } from 'pg-boss';
import * as undici from 'undici';
import { atOnce, body, dueMs, enqueue, poster, store } from '../shared/enqueuing.mjs';

const what = process.argv[2];
const boss = new PgBoss({
  connectionString: store,
  max: 20,
  supervise: what === 'work',
  schedule: false,
  migrate: what === 'setup',
  monitorIntervalSeconds: 10,
  superviseIntervalSeconds: 10,
});
boss.on('error', (error) => console.error(error.message));
await boss.start();

if (what === 'setup') {
  await boss.createQueue('hook', { retryLimit: 5, retryDelay: 1, heartbeatSeconds: 30 });
  process.exit(0);
} else if (what === 'work') {
  const post = poster(undici);
  const options = { batchSize: atOnce, perJobResults: true, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
  await boss.work('hook', options, (jobs) =>
    Promise.all(
      jobs.map(async ({ id, data }) => {
        try {
          await post(data.number, data.body);
          return { id, status: 'completed' };
        } catch (error) {
          return { id, status: 'failed', output: { message: error.message } };
        }
      }),
    ),
  );
  process.on('SIGTERM', () => process.exit(0));
} else if (what === 'enqueue') {
  const startAfter = dueMs ? { startAfter: new Date(dueMs) } : {};
  await enqueue((numbers) =>
    numbers.length === 1
      ? boss.send('hook', { number: numbers[0], body }, startAfter)
      : boss.insert('hook', numbers.map((number) => ({ data: { number, body }, ...startAfter }))),
  );
  process.exit(0);
}
