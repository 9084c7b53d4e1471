// A code of form 0x11, made and drawn on the phone; its bytes are laid out in parking/core/code_wire.py.
import encodeQR from "/vendor/qr.js";
import { join, toNumber } from "./bytes.js";
import { sign } from "./key.js";

const EPOCH = Date.UTC(2020, 0, 1);
const HOLDER_PREFIX = new TextEncoder().encode("PKQR1");
const SENTINEL = Uint8Array.of(1);
const QUIET_ZONE = 4;
const PICTURE = { version: 9, ecc: "medium", mask: 3, encoding: "numeric", border: QUIET_ZONE };

export const secondsOf = (instant) => Math.floor((instant - EPOCH) / 1000);

// wire: what the service signed. time, counter: never the same twice for one key. lot: 0 where it is not known.
export async function makeCode({ keys, wire, time, counter, lot = 0 }) {
  const showing = new DataView(new ArrayBuffer(7));
  showing.setUint32(0, time);
  showing.setUint8(4, counter);
  showing.setUint16(5, lot);
  const body = join(wire, new Uint8Array(showing.buffer));
  return toNumber(join(SENTINEL, body, await sign(keys, join(HOLDER_PREFIX, body)))).toString();
}

// One path, in which each run of dark modules is one stroke: sharp at any size.
export function drawCode(digits) {
  const rows = encodeQR(digits, "raw", PICTURE);
  let path = "";
  rows.forEach((row, y) => {
    for (let x = 0, end; x < row.length; x = end + 1) {
      for (end = x; row[end]; end++);
      if (end > x) path += `M${x} ${y}h${end - x}v1H${x}z`;
    }
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${rows.length} ${rows.length}" shape-rendering="crispEdges">`
    + `<path fill="#fff" d="M0 0h${rows.length}v${rows.length}H0z"/><path d="${path}"/></svg>`;
  return `data:image/svg+xml;base64,${btoa(svg)}`;
}
