// What happened here while the service could not be asked, kept in this browser until it has been told.
//
// An event gets its number when it is first sent and keeps it, so that sending it again does no harm.
// `of` and `corrects` name another event by its key until the service has that one, and are held back
// until then: an undo must never meet a number that is somebody else's (docs/lanes.md).
import { known, post } from "./service.js";

const PLACE = "gate-journal", REFUSED = "gate-refused", TERMINAL = "gate-terminal", BATCH = 500;
const read = (place = PLACE) => JSON.parse(localStorage.getItem(place) ?? "[]");
const write = (events, place = PLACE) => localStorage.setItem(place, JSON.stringify(events));
const at = () => ({ occurred_at: new Date().toISOString(), clock_offset_ms: known.offset });
const belongsTo = (event) => event.of ?? event.corrects;
const isHeldBack = (event) => typeof belongsTo(event) === "string";
let telling = null;

// What goes with another event is not counted beside it.
export const waitingCount = () => read().filter((event) => belongsTo(event) === undefined).length;
export const isTold = () => read().length === 0;
export const refusedCount = () => read(REFUSED).length;
export const forgetRefused = () => localStorage.removeItem(REFUSED);

// This screen is that terminal. What it did as another, and has not told, is not told as this one's: it is kept
// with what was refused, for a person.
export function speakFor(terminal) {
  const before = localStorage.getItem(TERMINAL);
  if (before === terminal) return;
  if (before !== null && !isTold()) {
    write([...read(REFUSED), ...read().map((event) => ({ ...event, refused: "other_terminal" }))], REFUSED);
    write([]);
  }
  localStorage.setItem(TERMINAL, terminal);
}

// The barrier was lifted by hand for this car.
export function liftedByHand({ direction, plate, by, why }) {
  const scan = crypto.getRandomValues(new Uint32Array(2)).join("-");
  write([...read(),
    { key: scan, kind: "scan", ...at(), direction, plate, opened: true, reason: "review_needed" },
    { key: `${scan}-lift`, kind: "manual_lift", ...at(), of: scan, by, why, picture: null },
  ]);
}

// An operator opened from afar; where it was for the car of a scan, it is that car's.
export function openedRemotely({ id, of, by, why }) {
  write([...read(),
    ...(of === null ? [] : [{ key: `${id}-lift`, kind: "manual_lift", ...at(), of, by, why, picture: null }]),
    { key: id, kind: "barrier", ...at(), command: "open", remote: id, of },
  ]);
}

// A scan whose answer never came moved no barrier, whatever the service decided under its number.
export function notAnswered({ scan_id, sequence, scanned_at, clock_offset_ms, code, nonce, plate }) {
  write([...read(),
    { key: scan_id, kind: "scan", sequence, occurred_at: scanned_at, clock_offset_ms, scan_id, code, nonce, plate,
      direction: known.direction === "exit" ? "exit" : "entry", opened: false, reason: "review_needed" },
    { key: `${scan_id}-undo`, kind: "undo", ...at(), corrects: scan_id },
  ]);
}

// Throws when the service did not answer.
export const tell = () => telling ??= tellAll().finally(() => { telling = null; });

async function tellAll() {
  for (let sent; (sent = number(read().filter((event) => !isHeldBack(event)).slice(0, BATCH))).length;) {
    const { status, said } = await post("/v1/lane-events", { events: sent.map(({ key, ...event }) => event) });
    if (status !== 200) return;
    known.sequence = Math.max(known.sequence, said.next_sequence);
    const answers = new Map(said.results.map((each) => [each.sequence, each]));
    if (!sent.some((event) => answers.has(event.sequence))) return;
    write(settle(read(), answers));
  }
}

function number(events) {
  if (!events.length) return events; // orders are asked for every few seconds, and nothing is written for that
  let next = Math.max(known.sequence, ...events.map((event) => (event.sequence ?? 0) + 1));
  const numbered = events.map((event) => ({ ...event, sequence: event.sequence ?? next++ }));
  const numbers = new Map(numbered.map((event) => [event.key, event.sequence]));
  write(read().map((event) => ({ ...event, sequence: numbers.get(event.key) ?? event.sequence })));
  return numbered;
}

// What is left to tell. An event stands before those that belong to it.
function settle(events, answers) {
  const numbers = new Map(), refused = new Map();
  const left = events.filter((event) => {
    const parent = belongsTo(event), answer = answers.get(event.sequence);
    if (refused.has(parent)) { refused.set(event.key, refused.get(parent)); return false; }
    if (numbers.has(parent)) event[event.of ? "of" : "corrects"] = numbers.get(parent);
    if (!answer) return true;
    if (answer.status !== "refused") numbers.set(event.key, event.sequence);
    else if (answer.reason !== "sequence_used") refused.set(event.key, answer.reason);
    // Another page of this terminal took the number. Nothing was recorded for a live scan then, so
    // there is nothing to take back; anything else is numbered anew.
    else if (event.scan_id) refused.set(event.key, "");
    else { delete event.sequence; return true; }
    return false;
  });
  const kept = events.filter((event) => refused.get(event.key));
  write([...read(REFUSED), ...kept.map((event) => ({ ...event, refused: refused.get(event.key) }))], REFUSED);
  return left;
}
