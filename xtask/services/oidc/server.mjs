// A real OpenID Connect provider for the hub's tests, on 127.0.0.1:$PORT, in memory.
//
// Whoever signs in is who they say: the provider's development forms take any name and password.
// What the name begins with decides what the provider says about the person, see `claims`.
import Provider from 'oidc-provider';

const port = Number(process.env.PORT);
const issuer = `http://127.0.0.1:${port}`;

// A native client may come back to any port of the loopback address (RFC 8252 §7.3), which is
// where test hubs listen.
const client = (id, rest) => ({
  client_id: id,
  application_type: 'native',
  redirect_uris: ['http://127.0.0.1/api/v1/auth/oidc/callback'],
  grant_types: ['authorization_code'],
  response_types: ['code'],
  ...rest,
});

function claims(id) {
  const domain = id.startsWith('outsider') ? 'example.org' : 'example.com';
  const groups = ['everyone'];
  if (id.startsWith('ops')) groups.push('ops');
  return {
    sub: `subject-of-${id}`,
    preferred_username: id,
    email: `${id}@${domain}`,
    email_verified: !id.startsWith('unverified'),
    groups,
  };
}

const provider = new Provider(issuer, {
  clients: [
    client('hub', { client_secret: 'a secret: with/odd+characters%', token_endpoint_auth_method: 'client_secret_basic' }),
    client('hub-public', { token_endpoint_auth_method: 'none' }),
  ],
  // The username stands in the ID token, the rest only behind the userinfo endpoint: both ways
  // are walked.
  claims: {
    openid: ['sub', 'preferred_username'],
    email: ['email', 'email_verified'],
    profile: ['name'],
    groups: ['groups'],
  },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
  pkce: { methods: ['S256'], required: () => true },
  cookies: { keys: ['only for tests'] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_context, id) => ({ accountId: id, claims: () => claims(id) }),
});

provider.listen(port, '127.0.0.1', () => console.log(`listening on ${issuer}`));
