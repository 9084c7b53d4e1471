// Codes of forms 0x11 and 0x12, made and drawn on the phone; their bytes are laid out in parking/core/code_wire.py.
import { drawQr } from "/static/qr.js";
import { join, toNumber } from "./bytes.js";
import { sign } from "./key.js";

const EPOCH = Date.UTC(2020, 0, 1);
const HOLDER_PREFIX = new TextEncoder().encode("PKQR1");
const SENTINEL = Uint8Array.of(1), CHALLENGE = Uint8Array.of(0x12);
const PICTURE = { version: 9, ecc: "medium", mask: 3, encoding: "numeric" };

export const secondsOf = (instant) => Math.floor((instant - EPOCH) / 1000);
export const drawCode = (digits) => drawQr(digits, PICTURE);

// wire: what the service signed. time, counter: never the same twice for one key. lot: 0 where it is not known.
export function makeCode({ keys, wire, time, counter, lot = 0 }) {
  const showing = new DataView(new ArrayBuffer(7));
  showing.setUint32(0, time);
  showing.setUint8(4, counter);
  showing.setUint16(5, lot);
  return signed(keys, join(wire, new Uint8Array(showing.buffer)));
}

// The answer to a gate that shows a number (7 bytes): it proves that this phone stands there now.
export const makeAnswer = ({ keys, wire }, number) => signed(keys, join(CHALLENGE, wire.subarray(1), number));

async function signed(keys, body) {
  return toNumber(join(SENTINEL, body, await sign(keys, join(HOLDER_PREFIX, body)))).toString();
}
