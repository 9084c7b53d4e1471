// The phone's key: made here, and no page can take it away from here, not even this one.
import { fromBase64, fromHex, toHex, toNumber } from "./bytes.js";

const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

export const canHoldKeys = () => Boolean(globalThis.isSecureContext && globalThis.crypto?.subtle && globalThis.indexedDB);

export const makeKeys = () => crypto.subtle.generateKey(CURVE, false, ["sign", "verify"]);

export async function publicKey(keys) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", keys.publicKey);
  return { kty, crv, x, y };
}

export async function isKeyOf(keys, compressed) {
  return toHex(fromBase64((await publicKey(keys)).x)) === toHex(compressed.subarray(1));
}

// r and s, 32 bytes each. (r, n - s) is as good a signature; a gate takes the lower s alone.
export async function sign(keys, message) {
  const signature = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, keys.privateKey, message));
  const s = toNumber(signature.subarray(32));
  if (s > ORDER / 2n) signature.set(fromHex((ORDER - s).toString(16).padStart(64, "0")), 32);
  return signature;
}
