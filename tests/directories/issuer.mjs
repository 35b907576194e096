// An OpenID Connect issuer: the package oidc-provider behind HTTPS, with a file of keys. It mints any
// token with these keys.
//
//   node issuer.mjs FOLDER URL
//
// FOLDER has server.crt, server.key and, after the first start, keys.json. Commands are lines of JSON on
// standard input. Each is answered by a line on standard output, and the first line says "ready". It
// ends with its standard input.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { SignJWT, exportJWK, generateKeyPair, importJWK } from 'jose';
import { Provider } from 'oidc-provider';

// What the provider has to say; standard output is for answers.
console.info = console.error;
const [folder, url] = process.argv.slice(2);
const file = `${folder}/keys.json`;
const counts = { discovery: 0, keys: 0 };
let keys = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [await makeKey('RS256', 'first')];
// Never published.
const strange = await makeKey('RS256', 'strange');
let callback;
publish();

const certificate = { cert: readFileSync(`${folder}/server.crt`), key: readFileSync(`${folder}/server.key`) };
const server = https.createServer(certificate, (request, response) => {
  if (request.url === '/.well-known/openid-configuration') counts.discovery += 1;
  if (request.url === '/jwks') counts.keys += 1;
  callback(request, response);
});
const address = new URL(url);
server.listen(Number(address.port), address.hostname, () => answer('ready'));

const lines = createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  const { command, ...options } = JSON.parse(line);
  try {
    answer(await commands[command](options));
  } catch (error) {
    answer({ error: String(error) });
  }
});
lines.on('close', () => process.exit(0));

const commands = {
  counts: () => counts,

  // `by` is the kid of a key, or "strange". `kid` is what the header says instead. `alg` may be
  // HS256, with the public key as the secret, or none.
  async mint({ claims, by = keys[0].kid, kid = by, alg, typ = 'JWT' }) {
    const key = by === 'strange' ? strange : keys.find((key) => key.kid === by);
    const header = { alg: alg ?? key.alg, kid, typ };
    if (header.alg === 'none') {
      return [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.') + '.';
    }
    const isHmac = header.alg === 'HS256';
    const secret = isHmac ? Buffer.from(JSON.stringify(openPart(key))) : await importJWK(key, header.alg);
    return new SignJWT(claims).setProtectedHeader(header).sign(secret);
  },

  // A new key that stands first, because oidc-provider signs with the first that fits. With `alone`,
  // the others go.
  async rotate({ alg = 'RS256', kid, alone = false }) {
    keys = [await makeKey(alg, kid), ...(alone ? [] : keys)];
    publish();
    return kid;
  },

  jwks: () => ({ keys: keys.map(openPart) }),
};

function publish() {
  writeFileSync(file, JSON.stringify(keys), { mode: 0o600 });
  // The provider signs access tokens in the form of JWTs by itself, for a client with its secret.
  const provider = new Provider(url, {
    jwks: { keys },
    clients: [
      {
        client_id: 'workload',
        client_secret: 'the secret of a workload',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: '',
          audience: resource,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: keys[0].alg } },
        }),
      },
    },
  });
  callback = provider.callback();
}

async function makeKey(alg, kid) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg, use: 'sig' };
}

function openPart({ kty, n, e, crv, x, y, kid, alg, use }) {
  return { kty, n, e, crv, x, y, kid, alg, use };
}

function answer(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
