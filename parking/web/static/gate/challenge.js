// A number that this screen shows and a phone signs: the one proof that the phone stands here now.
import { drawQr } from "/static/qr.js";

export const ANSWERED_MS = 60_000;
const NUMBER_BYTES = 7, NUMBER_AT = 108, FORM = "12"; // of an answer, as parking/core/code_wire.py lays it out
let standing = null;

// A picture of the number that stands here, or of a new one.
export function showNumber() {
  if (!isStanding()) {
    const bytes = crypto.getRandomValues(new Uint8Array(NUMBER_BYTES));
    standing = {
      number: Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join(""),
      until: performance.now() + ANSWERED_MS,
    };
  }
  return drawQr(`PKN1${standing.number}`, { ecc: "medium" });
}

// What goes with a code that answers the number which stands here.
export function answered(code) {
  if (!isStanding() || !/^\d{15,512}$/.test(code)) return {};
  const body = BigInt(code).toString(16).slice(1); // behind the sentinel
  const number = body.slice(2 * NUMBER_AT, 2 * (NUMBER_AT + NUMBER_BYTES));
  return body.startsWith(FORM) && number === standing.number ? { nonce: number } : {};
}

export function spend() {
  standing = null;
}

const isStanding = () => standing !== null && performance.now() < standing.until;
