// The whole screen says it: colour, icon, word, why, and what to do next.
import { signal } from "./signal.js";

const $ = (id) => document.getElementById(id);
const result = $("result"), say = $("say"), idle = say.textContent;
const language = document.documentElement.lang;
const SHOWN_MS = { open: 6000, hold: 12000, pay: 60000, help: 20000 };
let timer = 0;

// text: of a problem, in one language; message: of an answer, in all. dueFen: null where nothing is priced.
// number: for the phone to answer, as a picture, and how long it lasts.
export function show({ decision, reason, message, text, plate, dueFen = null, number = null }) {
  const mustPay = decision === "hold" && ["fee_due", "arrears_due"].includes(reason);
  const fee = dueFen === null ? "" : `¥ ${(dueFen / 100).toFixed(2)}`;
  paint(decision, message?.[language] ?? message?.en ?? text, {
    detail: [plate, fee].filter(Boolean).join(" · "), message, next: nextStep(reason), mustPay, number,
  });
  signal(decision);
  hideIn(number?.lasts ?? SHOWN_MS[mustPay ? "pay" : decision]);
}

export function showWaiting(milliseconds) {
  clearTimeout(timer);
  paint("wait", result.dataset.lost, { next: result.dataset.asking.replace("{n}", Math.ceil(milliseconds / 1000)) });
}

export function showHelp() {
  paint("help", result.dataset.lost, { next: nextStep("no_answer") });
  signal("hold");
  hideIn(SHOWN_MS.help);
}

export function goIdle() {
  clearTimeout(timer);
  paint("idle", idle, {});
}

function paint(state, text, { detail = "", message = {}, next = "", mustPay = false, number = null }) {
  result.dataset.state = state;
  $("word").textContent = $("word").dataset[state] ?? "";
  say.textContent = text;
  $("detail").textContent = detail;
  $("next").textContent = next;
  $("pay").hidden = !mustPay;
  $("number").hidden = number === null;
  if (number) $("number").src = number.picture;
  $("dismiss").hidden = state === "idle";
  $("others").replaceChildren(...Object.entries(message).filter(([code]) => code !== language).map(([code, other]) => {
    const line = document.createElement("span");
    line.lang = code;
    line.textContent = other;
    return line;
  }));
}

function hideIn(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(goIdle, milliseconds);
}

// What the person can do about it, in the page's language; most reasons say it themselves.
function nextStep(reason) {
  const found = [...$("next-steps").children].find((each) => each.dataset.for.split(" ").includes(reason));
  return found?.textContent ?? "";
}
