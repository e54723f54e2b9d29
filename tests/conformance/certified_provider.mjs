// The certified provider of npm, at a free port. Usage: node certified_provider.mjs DIRECTORY, where it is installed.
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { default: Provider } = await import(
  pathToFileURL(join(process.argv[2], 'node_modules', 'oidc-provider', 'lib', 'index.js')));
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    clients: [{
      client_id: 'hookline',
      client_secret: 'the secret/of:this client',
      redirect_uris: ['http://127.0.0.1:7070/dashboard/oidc/callback'],
    }],
    claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: [] },
    conformIdTokenClaims: false, // groups and address in the id token, as Keycloak and others do it
    pkce: { required: () => true },
    findAccount: (context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, groups: ['support'] }),
    }),
  });
  server.on('request', provider.callback());
  console.log(`ready ${url}`);
});
