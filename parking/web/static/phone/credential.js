// What the phone asks the service: to bind its key to the driver, and whether the credential still stands.
import { fromBase64, toHex } from "./bytes.js";
import * as clock from "./clock.js";
import { isKeyOf, makeKeys, publicKey } from "./key.js";
import { isLeaving } from "./leave.js";
import * as shelf from "./shelf.js";

const WIRE_BYTES = 108, FORM = 0x11, HOLDER_KEY = [11, 44], SUBJECT_BYTES = 16;
const WAIT_MAX = 5000;

// The service answered, and its answer is no. Anything else that is thrown here is no answer.
export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    Object.assign(this, { status, reason });
  }
}

async function call(path, options = {}) {
  const sentAt = Date.now();
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(WAIT_MAX), ...options });
  if (answer.status >= 500) throw new Error(`answered ${answer.status}`);
  const said = await answer.json();
  const offset = clock.learn(answer, sentAt, said.server_time);
  if (!answer.ok) throw new Refused(answer.status, said.reason);
  if (offset !== null) await shelf.writeNote("offset", offset);
  return said;
}

// Bind the key of a choice of vehicle, which is made where there is none; bound already, it is renewed.
export async function bind(plate) {
  const keys = (await shelf.find(plate))?.keys ?? await shelf.settle(plate, await makeKeys());
  if (isLeaving()) return;
  const said = await call("/v1/credentials", {
    method: "POST", headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ public_key: await publicKey(keys), ...(plate && { plate }) }),
  });
  await keepChallenged(said);
  const wire = fromBase64(said.wire), holderKey = wire.subarray(...HOLDER_KEY);
  if (wire.length !== WIRE_BYTES || wire[0] !== FORM || !await isKeyOf(keys, holderKey)) {
    throw new Error("not a credential of this key");
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", holderKey));
  await shelf.bindTo(plate, {
    wire, subject: toHex(hash.subarray(0, SUBJECT_BYTES)),
    expiresAt: Date.parse(said.expires_at), renewAfter: Date.parse(said.renew_after),
  });
}

// live, revoked or unknown.
export async function stateOf(subject) {
  const said = await call(`/v1/credentials/current?subject=${subject}`);
  await keepChallenged(said);
  return said.state;
}

// Whether gates ask for more than a code, and as of when by the service's clock.
const keepChallenged = (said) => shelf.writeNote("challenged", { is: said.is_challenged, at: Date.parse(said.server_time) });
