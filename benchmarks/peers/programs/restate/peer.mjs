// The service of Restate: its handler makes the call in `ctx.run`, as side effects are
// (https://docs.restate.dev/develop/ts/durable-steps). It is registered when it serves
// (https://docs.restate.dev/services/versioning). Jobs are enqueued over HTTP, see http_enqueuer.py.
import * as restate from '@restatedev/restate-sdk';
import * as undici from 'undici';
import { poster } from '../shared/enqueuing.mjs';

const post = poster(undici);
const port = Number(process.env.PEER_PORT);
const hook = restate.service({
  name: 'Hook',
  handlers: {
    post: async (ctx, { number, body }) => {
      await ctx.run('post', () => post(number, body));
    },
  },
});
await restate.serve({ services: [hook], port });
for (;;) {
  try {
    const answer = await fetch(`${process.env.PEER_ADMIN}/deployments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ uri: `http://127.0.0.1:${port}` }),
    });
    if (answer.ok) break;
    console.error(answer.status, await answer.text());
  } catch (error) {
    console.error(error.message);
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
}
console.error('registered');
