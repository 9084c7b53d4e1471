// The driver's page: the phone's own code, with or without network; the service's where a phone can hold no key.
import * as clock from "./phone/clock.js";
import { keep, prepare, readNumber } from "./phone/answer.js";
import { drawCode, makeAnswer, makeCode, secondsOf } from "./phone/code.js";
import { bindOthers, refresh } from "./phone/contact.js";
import { Refused } from "./phone/credential.js";
import { tickFees } from "./phone/fee.js";
import { showIssued } from "./phone/issued.js";
import { canHoldKeys } from "./phone/key.js";
import { forget, isLeaving } from "./phone/leave.js";
import * as shelf from "./phone/shelf.js";

const ROTATE_MS = 10_000, SHOWN_LIFE_MS = 30_000; // how often the phone signs, and how long a gate takes it
const CONTACT_MS = 60_000, RETRY_MS = 10_000;
const ANSWER_MS = 60_000; // how long a gate takes the answer to its number
const HONOURED_AT_EXIT_MS = 7 * 24 * 3600_000;

const $ = (id) => document.getElementById(id);
const figure = $("code"), picture = figure.querySelector("img"), left = $("left"), say = $("say"), again = $("again");
const inside = $("inside"), asOf = $("as-of"), answer = $("answer");
const links = [...document.querySelectorAll(".choices a")];
const choices = [...links.map((each) => each.dataset.plate).filter(Boolean), ""];

let plate = figure.dataset.plate, held = null, isOnline = navigator.onLine, isRevoked = false, isFull = false;
let rotateAt = 0, shownAt = 0, answersUntil = 0, contactAt = 0, isRotating = false, isAsking = false;
let insideAt = Number(figure.dataset.at), timer = null;

async function start() {
  if (await shelf.readNote("driver") !== figure.dataset.driver) {
    await shelf.empty();
    await shelf.writeNote("driver", figure.dataset.driver);
  }
  clock.restore(await shelf.readNote("offset"));
  isRevoked = await shelf.readNote("revoked") ?? false;
  if (isRevoked) hide();
  followInside(await shelf.readNote("inside"));
  followChoice();
  again.addEventListener("click", bindAgain);
  answer.querySelector("button").addEventListener("click", () => answerGate().catch(giveUp));
  document.addEventListener("visibilitychange", wake);
  addEventListener("online", () => { contactAt = 0; });
  addEventListener("offline", () => setOnline(false));
  timer = setInterval(tick, 250);
  setInterval(tickInside, 1000);
  await followChallenge();
  wake();
  navigator.serviceWorker?.addEventListener("controllerchange", () => followChallenge().catch(() => {}));
  navigator.serviceWorker?.register("/driver-worker.js", { scope: "/driver", updateViaCache: "none" }).catch(() => {});
  navigator.storage?.persist?.();
}

function wake() {
  if (document.hidden) return;
  navigator.wakeLock?.request("screen").catch(() => {});
  rotateAt = answersUntil;
  tick();
  tickInside();
}

function tick() {
  if (document.hidden || isLeaving()) return;
  const now = Date.now();
  if (now >= rotateAt && !isRevoked) rotate().catch(giveUp);
  if (now >= contactAt) contact().catch(giveUp);
  figure.toggleAttribute("data-old", held !== null && now >= Math.max(answersUntil, shownAt + SHOWN_LIFE_MS));
  const seconds = Math.max(0, Math.ceil((Math.max(answersUntil, shownAt + ROTATE_MS) - now) / 1000));
  const words = now < answersUntil ? left.dataset.answers : left.dataset.text;
  write(left, held ? words.replace("{n}", seconds) : "");
  write(say, whatToSay());
  again.hidden = !isRevoked;
  asOf.hidden = isOnline;
  const known = inside.querySelector(".ended[hidden]") ? asOf.dataset.ahead : asOf.dataset.text;
  write(asOf, known.replace("{t}", clock.say(insideAt, figure.dataset.zone)));
}

// The clock may be behind; what was told is then still the newest that is known.
function tickInside() {
  if (!isLeaving()) tickFees(inside, Math.max(clock.now(), insideAt), figure.dataset.zone);
}

// Words are written only where they change: a screen reader would say them again.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function whatToSay() {
  const state = isRevoked ? "revoked" : !held ? (isOnline ? "binding" : "none")
    : clock.now() >= held.expiresAt ? "ended" : isOnline ? "online" : "offline";
  return say.dataset[state].replace("{t}", held ? clock.say(held.expiresAt, figure.dataset.zone) : "");
}

async function rotate() {
  if (isRotating) return;
  isRotating = true;
  rotateAt = Date.now() + ROTATE_MS;
  try {
    const chosen = plate, showing = await shelf.advance(chosen, secondsOf(clock.now()));
    const isHeld = showing && clock.now() < showing.expiresAt + HONOURED_AT_EXIT_MS;
    const drawn = isHeld && drawCode(await makeCode(showing));
    if (chosen !== plate || isRevoked || Date.now() < answersUntil) return;
    if (drawn) {
      draw(showing, drawn);
    } else {
      if (held) hide();
      contactAt = Math.min(contactAt, Date.now() + (isOnline ? 0 : RETRY_MS));
    }
  } finally {
    isRotating = false;
  }
}

function draw(showing, drawn) {
  [held, picture.src, figure.hidden, shownAt] = [showing, drawn, false, Date.now()];
  figure.toggleAttribute("data-blank", false);
}

// The number on the gate's screen is signed, and the answer is shown in place of the code for a minute.
async function answerGate() {
  const number = await readNumber($("reading"));
  if (!number) return wake();
  const credential = await shelf.find(plate);
  if (!credential?.wire) return;
  const drawn = drawCode(await makeAnswer(credential, number));
  rotateAt = answersUntil = Date.now() + ANSWER_MS;
  draw(credential, drawn);
  figure.scrollIntoView({ block: "center" });
  tick();
}

// Whether gates ask is told by page and service, whichever spoke last; a phone that signs no code cannot answer.
async function followChallenge() {
  const page = { is: "challenged" in figure.dataset, at: Number(figure.dataset.at) };
  const note = await shelf.readNote("challenged");
  answer.hidden = isRevoked || timer === null || !(note?.at >= page.at ? note : page).is;
  if (!answer.hidden) prepare().then(keep).catch(() => {});
}

function hide() {
  [held, figure.hidden] = [null, true];
}

async function contact() {
  if (isAsking) return;
  isAsking = true;
  const chosen = plate;
  try {
    if (!isRevoked && !await refresh(chosen, choices)) await endHere();
    setOnline(true);
    await followChallenge();
    if (held?.subject !== (await shelf.find(chosen))?.subject) rotateAt = 0;
    if (!isRevoked && !isFull) await bindOthers(choices);
  } catch (error) {
    await meet(error);
  } finally {
    isAsking = false;
    contactAt = chosen === plate ? Date.now() + (isOnline ? CONTACT_MS : RETRY_MS) : 0;
  }
}

async function meet(error) {
  setOnline(error instanceof Refused);
  if (!isOnline) {
    if (!held) hide();
    return;
  }
  if (error.status === 401) return leave();
  isFull = error.reason === "too_many_credentials";
  if ((await shelf.find(plate))?.wire) return; // another choice was refused, or a renewal: later, perhaps
  $("full").hidden = !isFull;
  giveUp();
}

// The credential was revoked: this phone shows no code until its driver says so.
async function endHere() {
  await shelf.end();
  [isRevoked, answersUntil, answer.hidden] = [true, 0, true];
  hide();
}

async function bindAgain() {
  await shelf.writeNote("revoked", false);
  [isRevoked, contactAt] = [false, 0];
}

async function leave() {
  clearInterval(timer);
  await forget();
  location.reload();
}

// Without a key of its own the phone shows what the service makes, as long as there is network.
function giveUp() {
  clearInterval(timer);
  [timer, answer.hidden] = [null, true];
  if ("companion" in figure.dataset) return write(say, isFull ? "" : say.dataset.companion);
  write(say, "challenged" in figure.dataset ? say.dataset.plate : "");
  showIssued(plate);
}

function setOnline(is) {
  isOnline = is;
  for (const each of inside.querySelectorAll("button")) each.disabled = !is; // paying needs the service
}

// A vehicle is chosen on the phone, by the rule of the service: what the address asks for, else the first.
function followChoice() {
  const asked = new URLSearchParams(location.search).get("plate");
  choose(choices.includes(asked ?? choices[0]) ? asked ?? choices[0] : "");
  for (const link of links) {
    link.addEventListener("click", (event) => {
      if (timer === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      history.replaceState(null, "", link.href);
      held = null;
      figure.toggleAttribute("data-blank", true); // another vehicle's code is not held to a gate by mistake
      choose(link.dataset.plate);
      tick();
    });
  }
}

function choose(chosen) {
  [plate, rotateAt, answersUntil] = [chosen, 0, 0];
  for (const link of links) {
    const isChosen = link.dataset.plate === chosen;
    link.classList.toggle("outline", !isChosen);
    if (isChosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

// What is inside: as it was last told, whichever of page and shelf is newer, and then as it is polled.
function followInside(kept) {
  if (kept?.at > insideAt) [inside.innerHTML, insideAt] = [kept.html, kept.at];
  document.body.addEventListener("htmx:before:request", (event) => {
    if (!isOnline) event.preventDefault(); // contact() finds out when there is network again
  });
  document.body.addEventListener("htmx:before:response", (event) => {
    const answer = event.detail.ctx.response.raw;
    if (answer.redirected) leave(); // to the page to sign in at
    if (answer.redirected || !answer.ok) event.preventDefault();
    else setOnline(true);
  });
  document.body.addEventListener("htmx:error", () => setOnline(false));
  document.body.addEventListener("htmx:after:swap", () => {
    insideAt = clock.now();
    shelf.writeNote("inside", { html: inside.innerHTML, at: insideAt });
    tickInside();
  });
}

if (canHoldKeys()) start().catch(giveUp);
else giveUp();
