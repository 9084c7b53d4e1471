// One scan at a time, asked with the same scan_id until it is answered or too old to be.
import { answered, showNumber, spend } from "./challenge.js";
import { count } from "./counts.js";
import { notAnswered, tell } from "./journal.js";
import { show, showHelp, showWaiting } from "./result.js";
import { known, post } from "./service.js";

const ASKED_FOR_MS = 50000; // a live scan may be a minute old, and clocks differ
const PAUSE_MS = 400, PAUSE_MS_MAX = 2000;
let pending = null;

export const asking = () => pending !== null;

// Resolves to whether it was asked: false while another one is, and then it may be tried again.
export async function ask(shown) {
  if (pending) return false;
  pending = {
    scan_id: newId(), sequence: known.sequence, scanned_at: new Date().toISOString(),
    clock_offset_ms: known.offset, has_display: true, ...shown, ...answered(shown.code ?? ""),
  };
  const until = performance.now() + ASKED_FOR_MS;
  for (let pause = PAUSE_MS; pending; pause = Math.min(pause + PAUSE_MS, PAUSE_MS_MAX)) {
    try {
      await send();
    } catch {
      const left = until - performance.now();
      if (left <= 0) {
        giveUp();
        showHelp();
        break;
      }
      if (pending) showWaiting(left);
      await new Promise((done) => { setTimeout(done, pause); });
    }
  }
  return true;
}

// What is under way is let go: nobody waits for it any more, or its car was let through by hand.
export function giveUp() {
  if (pending) notAnswered(pending);
  pending = null;
}

async function send() {
  await tell(); // what this terminal did before is known to the service first
  const asked = pending;
  if (!asked) return;
  const { status, said } = await post("/v1/scans", asked);
  if (pending !== asked) return; // let go meanwhile
  if (status === 409 && said.next_sequence) {
    // Another page of this terminal took the number: nothing was recorded for this scan yet.
    known.sequence = said.next_sequence;
    pending = { ...asked, sequence: said.next_sequence };
    return;
  }
  pending = null;
  showAnswer(status, said, asked.nonce);
}

function showAnswer(status, said, nonce) {
  if (status === 401) { location.reload(); return; }
  if (status !== 200) { show({ decision: "hold", text: said.detail }); return; }
  known.sequence = said.next_sequence;
  known.freeSpaces = said.lot.free_spaces;
  count(said.decision);
  if (said.decision === "open") spend(nonce);
  show({
    number: said.reason === "challenge_needed" ? showNumber() : null,
    decision: said.decision, reason: said.reason, message: said.message, plate: said.parking_session?.plate,
    dueFen: said.fee ? said.fee.due_fen : null,
  });
}

function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((each) => each.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
