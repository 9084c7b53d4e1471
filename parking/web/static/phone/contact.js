// What is done whenever the service can be reached, so that the phone can do without it afterwards.
import * as clock from "./clock.js";
import { secondsOf } from "./code.js";
import { bind, Refused, stateOf } from "./credential.js";
import * as shelf from "./shelf.js";

const AHEAD_SECONDS_MAX = 60;
const HELD_MAX = 4; // choices that are bound unasked: all phones and papers of a driver share ten places

// Bind what is not bound, renew what is half over, and ask whether the chosen one still stands: false, if
// it was revoked. choices: all that the page offers, the plates and "" for any vehicle.
export async function refresh(chosen, choices) {
  for (const gone of (await shelf.listPlates()).filter((each) => !choices.includes(each))) await shelf.drop(gone);
  const held = await shelf.find(chosen);
  if (!isFresh(held)) {
    await bindAnew(chosen);
  } else {
    const state = await stateOf(held.subject);
    if (state === "revoked") return false;
    if (state === "unknown" || isSpent(held)) {
      await shelf.drop(chosen);
      await bind(chosen);
    }
  }
  return true;
}

// The vehicles, so that another one can be chosen without network too. A refusal ends it quietly.
export async function bindOthers(choices) {
  for (const plate of choices.filter(Boolean).slice(0, HELD_MAX)) {
    if (!isFresh(await shelf.find(plate))) await bind(plate);
  }
}

const isFresh = (held) => held?.wire && clock.now() < held.renewAfter;

// The phone's clock was far ahead, and is right now: the showings until then are used up.
const isSpent = (held) => held.time > secondsOf(clock.now()) + AHEAD_SECONDS_MAX;

// A key that is another driver's, or was revoked, is of no use: a new one is made.
async function bindAnew(plate) {
  try {
    await bind(plate);
  } catch (error) {
    if (!(error instanceof Refused) || error.reason !== "key_not_free") throw error;
    await shelf.drop(plate);
    await bind(plate);
  }
}
