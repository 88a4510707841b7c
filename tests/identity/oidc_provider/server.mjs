// An OpenID provider for tests, shaped by CONFIG (JSON in the environment) like an Okta custom authorization server or
// like Entra: { port, path, client, claims }. Whoever signs in is who they type; any password will do.
// As at Okta, whoever asks for offline_access gets a refresh token without being asked for consent again; each is good
// once, and one that is used twice takes the others with it.
import { generateKeyPairSync } from "node:crypto";
import http from "node:http";
import { Provider } from "oidc-provider";

const config = JSON.parse(process.env.CONFIG);
const issuer = `http://127.0.0.1:${config.port}${config.path}`;
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), kid: "test-1", alg: "RS256", use: "sig" };

const offline = new Set(); // nonces of those who asked for offline_access

const provider = new Provider(issuer, {
  clients: [{
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    id_token_signed_response_alg: "RS256",
    require_auth_time: true,
    backchannel_logout_session_required: true,
    ...config.client,
  }],
  jwks: { keys: [key] },
  cookies: { keys: ["only for tests"] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (_, client, source) => client.grantTypeAllowed("refresh_token") && offline.has(source.nonce),
  expiresWithSession: () => false,
  conformIdTokenClaims: false,
  // The console of a test is on the loopback, where the provider's own dispatcher would not go.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  claims: {
    openid: [...new Set(["sub", "groups", ...Object.keys(config.claims)])],
    profile: ["name", "preferred_username"],
    email: ["email", "email_verified"],
  },
  routes: {
    authorization: "/v1/authorize",
    token: "/v1/token",
    jwks: "/v1/keys",
    userinfo: "/v1/userinfo",
    end_session: "/v1/logout",
    revocation: "/v1/revoke",
  },
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: true },
    revocation: { enabled: true },
  },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      name: id[0].toUpperCase() + id.slice(1),
      preferred_username: `${id}@shop.test`,
      email: `${id}@shop.test`,
      email_verified: true,
      ...config.claims,
    }),
  }),
});
for (const name of ["server_error", "backchannel.error", "authorization.error", "grant.error", "end_session.error"]) {
  provider.on(name, (...about) => console.error(name, about.find((one) => one instanceof Error)));
}

for (const name of ["saved", "consumed", "destroyed"]) {
  provider.on(`refresh_token.${name}`, () => console.log("refresh token", name));
}

const answer = provider.callback();
http.createServer((request, response) => {
  if (!request.url.startsWith(`${config.path}/`)) {
    response.writeHead(404).end();
    return;
  }
  const asked = new URL(request.url, issuer).searchParams;
  if (asked.get("scope")?.split(" ").includes("offline_access")) offline.add(asked.get("nonce"));
  request.originalUrl = request.url;
  request.url = request.url.slice(config.path.length);
  answer(request, response);
}).listen(config.port, "127.0.0.1", () => console.log("listening"));
