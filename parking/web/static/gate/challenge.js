// A number that this screen shows and a phone signs: the one proof that the phone stands here now.
import { drawQr } from "/static/qr.js";

const ANSWERED_MS = 60_000, LEFT_MS_MIN = 30_000; // how long a number is answered, and for how long it is shown anew
const NUMBER_BYTES = 7, NUMBER_AT = 108, FORM = "12"; // of an answer, as parking/core/code_wire.py lays it out
let standing = null;

// A picture of the number that stands here, or of a new one where that is nearly over, and how long it lasts.
export function showNumber() {
  if (!isStanding(LEFT_MS_MIN)) {
    const bytes = crypto.getRandomValues(new Uint8Array(NUMBER_BYTES));
    standing = {
      number: Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join(""),
      until: performance.now() + ANSWERED_MS,
    };
  }
  const picture = drawQr(`PKN1${standing.number}`, { ecc: "medium" });
  return { picture, lasts: standing.until - performance.now() };
}

// What goes with a code that answers the number which stands here.
export function answered(code) {
  if (!isStanding() || !/^\d{15,512}$/.test(code)) return {};
  const body = BigInt(code).toString(16).slice(1); // behind the sentinel
  const number = body.slice(2 * NUMBER_AT, 2 * (NUMBER_AT + NUMBER_BYTES));
  return body.startsWith(FORM) && number === standing.number ? { nonce: number } : {};
}

// It was answered, and something opened for that.
export function spend(number) {
  if (standing?.number === number) standing = null;
}

const isStanding = (left = 0) => standing !== null && performance.now() + left < standing.until;
