// BullMQ with Redis.
// - One worker process, `concurrency` jobs at once: https://docs.bullmq.io/guide/workers/concurrency
// - Jobs of a killed worker come back when their lock, 30 s, has run out and a worker looks for stalled jobs, every
//   30 s; both are the defaults: https://docs.bullmq.io/guide/workers/stalled-jobs
// - A producer fails fast, a worker waits for Redis for ever: https://docs.bullmq.io/guide/going-to-production
// - Done jobs are removed but for the last thousand: https://docs.bullmq.io/guide/queues/auto-removal-of-jobs
// - Failed ones are tried again: https://docs.bullmq.io/guide/retrying-failing-jobs
// - `addBulk` enqueues many at once: https://docs.bullmq.io/guide/queues/adding-bulks
import { Queue, Worker } from 'bullmq';
import * as undici from 'undici';
import { atOnce, body, dueMs, enqueue, poster, store } from '../shared/enqueuing.mjs';

const { hostname: host, port } = new URL(store);
const options = () => ({
  attempts: 5,
  backoff: { type: 'exponential', delay: 1000 },
  removeOnComplete: { count: 1000 },
  ...(dueMs ? { delay: Math.max(0, dueMs - Date.now()) } : {}),
});

if (process.argv[2] === 'work') {
  const post = poster(undici);
  const connection = { host, port: Number(port), maxRetriesPerRequest: null };
  const worker = new Worker('hook', (job) => post(job.data.number, job.data.body), { connection, concurrency: atOnce });
  worker.on('error', (error) => console.error(error.message));
  process.on('SIGTERM', () => process.exit(0));
} else if (process.argv[2] === 'enqueue') {
  const queue = new Queue('hook', {
    connection: { host, port: Number(port), maxRetriesPerRequest: 1, enableOfflineQueue: false },
  });
  queue.on('error', () => {});
  await queue.waitUntilReady();
  await enqueue((numbers) =>
    numbers.length === 1
      ? queue.add('hook', { number: numbers[0], body }, options())
      : queue.addBulk(numbers.map((number) => ({ name: 'hook', data: { number, body }, opts: options() }))),
  );
  process.exit(0);
}
