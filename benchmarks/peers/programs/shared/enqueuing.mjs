// What all enqueuers in JavaScript have in common; see enqueuing.py.
const [first, count, batch, callers, rate, at] = process.argv.slice(3).map(Number);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const body = process.env.PEER_BODY;
export const atOnce = Number(process.env.PEER_AT_ONCE);
export const receiver = process.env.PEER_RECEIVER;
export const store = process.env.PEER_STORE;
// When all are due, in ms since 1970; 0 for at once.
export const dueMs = at * 1000;

// Calls send(numbers) from that many callers at once; what it throws makes the numbers count as failed.
export async function enqueue(send) {
  const began = Date.now();
  const failed = [];
  let next = first;
  async function call() {
    while (next < first + count) {
      const start = next;
      const numbers = Array.from({ length: Math.min(batch, first + count - start) }, (_, index) => start + index);
      next += numbers.length;
      if (rate) await sleep(Math.max(0, began + ((start - first) / rate) * 1000 - Date.now()));
      try {
        await send(numbers);
      } catch (error) {
        if (!failed.length) console.error('not acknowledged:', error.message);
        failed.push(...numbers);
        await sleep(100);
      }
    }
  }
  await Promise.all(Array.from({ length: callers }, call));
  const seconds = (Date.now() - began) / 1000;
  process.stdout.write(JSON.stringify({ began: began / 1000, seconds, failed }) + '\n');
}

// Makes the call with a client that keeps as many connections as there are attempts at once.
export function poster({ Agent, request }) {
  const dispatcher = new Agent({ connections: atOnce });
  return async (number, text) => {
    const answer = await request(`${receiver}/${number}`, {
      dispatcher,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: text,
    });
    await answer.body.dump();
    if (answer.statusCode >= 300) throw new Error(`${answer.statusCode}`);
  };
}
