// Browsers, at addresses of our own: sent to the console to sign in, taken back with a session, and let go again.
// The console is never called from here: the browser carries everything, and a signature vouches for it.
import { comesFromHere, homeOf, isNavigation, isWithoutTls } from "./browsers.js";
import { fromBase64url, fromBytes, toBase64url, toBytes } from "./bytes.js";
import { cookieValues, dropCookie, setCookie } from "./cookies.js";
import { button, link, page, pageHeaders } from "./pages.js";
import { policy } from "./policy.js";
import { nameOf, ownAddress } from "./services.js";
import { challengeOf, checkSession, checkSessionToken, newSecret, sessionOf } from "./sessions.js";

const { own, session, signIn, signInSeconds } = policy.browser;
const SIGNS_IN = new Set(policy.browser.signsIn);
const SECRET = /^[A-Za-z0-9_-]{43}$/;
const ONLY_A_PATH = /^\/(?![/\\])[\x21-\x7e]*$/;
const LONGEST_WAY_BACK = 1024;

function moved(location, cookies) {
  const headers = { Location: location, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer" };
  return { status: 302, headers: cookies.length > 0 ? { ...headers, "Set-Cookie": cookies } : headers, body: "" };
}

/** What is sent back to is always a path here, whoever wrote it. */
const localPath = (path) => (path.length <= LONGEST_WAY_BACK && ONLY_A_PATH.test(path) ? path : "/");

function pathFrom(state) {
  try {
    return localPath(fromBytes(fromBase64url(state)));
  } catch {
    return "/";
  }
}

/** The secret of the sign-in that is under way in this browser, or nothing. */
function pendingSecret(request) {
  const held = cookieValues(request, signIn);
  return held.length === 1 && SECRET.test(held[0]) ? held[0] : "";
}

/** Off to the console, and later back to ``path``. Windows that begin at once share a secret, and any may come first. */
async function begin(request, path) {
  const back = localPath(path);
  if (isWithoutTls(request)) return moved(homeOf(request) + back, []);
  const secret = pendingSecret(request) || newSecret();
  const asked = [
    `host=${encodeURIComponent(nameOf(request.host))}`,
    `challenge=${await challengeOf(secret)}`,
    `state=${toBase64url(toBytes(back))}`,
  ];
  return moved(`${policy.console}/edge/sign-in?${asked.join("&")}`, [setCookie(signIn, secret, signInSeconds)]);
}

/** A refused call becomes a sign-in where that can help: for a person on the way to a page, and nobody else. */
export async function signInInstead(request, { verdict, probe }) {
  const helps = SIGNS_IN.has(verdict.reason) && !probe && !request.getHeader("Authorization");
  const elsewhere = ownAddress(request.host, request.path) === null;
  return helps && elsewhere && isNavigation(request) ? begin(request, request.url) : null;
}

function asked(request, name) {
  const found = request.query.split("&").filter((pair) => pair.startsWith(`${name}=`));
  return found.length === 1 ? found[0].slice(name.length + 1) : "";
}

/** Back from the console. The secret that this browser began with is used up, so the same address does nothing twice. */
async function complete(request, at) {
  const token = asked(request, "token");
  const back = homeOf(request) + pathFrom(asked(request, "state"));
  const found = await checkSessionToken(token, request, at);
  if (found.reason !== null) return found;
  const secret = pendingSecret(request);
  if (secret !== "" && (await challengeOf(secret)) === found.holder) {
    const cookies = [setCookie(session, sessionOf(secret, token)), dropCookie(signIn)];
    return { reason: "sign_in", answer: moved(back, cookies) };
  }
  // Another window of this browser was quicker, or began with another secret: then it is there already, or tries again.
  const known = (await checkSession(request, at)).reason === null;
  return known || secret !== "" ? { reason: "sign_in", answer: moved(back, []) } : { reason: "other_browser" };
}

const shown = (body, cookies) => ({
  status: 200,
  headers: { ...pageHeaders("'self'"), ...(cookies.length > 0 ? { "Set-Cookie": cookies } : {}) },
  body,
});

async function show(request, at) {
  const host = nameOf(request.host);
  const found = await checkSession(request, at);
  const signedIn = found.reason === null;
  const body = page({
    title: `Your session at ${host}`,
    heading: signedIn ? `Signed in as ${found.subject}` : "Not signed in",
    words: `At ${host}. A session here lasts five minutes, and goes on by itself while you are signed in to Sallyport.`,
    ways: [
      signedIn ? button(`${own}sign-out`, "Sign out here") : link(`${own}sign-in`, "Sign in"),
      link(policy.console, "Open Sallyport"),
    ],
  });
  return { reason: "sign_in", answer: shown(body, []) };
}

/** Ends here: nobody is sent anywhere, and whoever wants to be signed out of the console too does that there. */
async function leave(request) {
  if (!comesFromHere(request)) return { reason: "cross_site" };
  const body = page({
    title: "Signed out",
    heading: `Signed out of ${nameOf(request.host)}`,
    words: "Sallyport itself may still know you: sign out there too if others use this browser.",
    ways: [link(policy.console, "Open Sallyport"), link(`${own}sign-in`, "Sign in again")],
  });
  return { reason: "sign_in", answer: shown(body, [dropCookie(session), dropCookie(signIn)]) };
}

const started = async (request) => ({ reason: "sign_in", answer: await begin(request, `${own}session`) });

const ADDRESSES = new Map([
  ["GET callback", complete],
  ["GET sign-in", started],
  ["GET session", show],
  ["GET sign-out", show],
  ["POST sign-out", leave],
]);

/** What happens at one of our own addresses: a reason, and what to answer where it is not a plain refusal. Whose session it
 * is goes unsaid, because on the record it would look as if that person had been refused something. */
export async function answerOwn(request, address, at) {
  const answer = ADDRESSES.get(`${request.method} ${address}`);
  return answer === undefined ? { reason: "no_service" } : answer(request, at);
}
