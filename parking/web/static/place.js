// A lot's page: two sliders say when the car would leave. The amount follows them by the curve that the page holds;
// the lines, and the curve of another day, vehicle or entry, come from the service a moment later.
import { say } from "./phone/clock.js";
import { pointAfter, pointAt, readCurve, yuan } from "./phone/curve.js";

const QUIET_MS = 250, MINUTE_MS = 60_000, UNKNOWN = "…";
const $ = (id) => document.getElementById(id);
const form = $("ask"), stay = $("stay"), late = $("late"), length = $("length");
const { minutes, days, entered } = form.elements, { zone } = form.dataset;
let timer = null, asking = null, isOther = false; // what is told is of another entry or vehicle

function start() {
  for (const [name, isUsed] of [["unscripted", false], ["scripted", true]]) {
    for (const part of form.querySelectorAll(`.${name}`)) {
      part.hidden = !isUsed;
      for (const input of part.querySelectorAll("input")) input.disabled = !isUsed;
    }
  }
  const { dataset } = $("told");
  [minutes.value, days.value] = [dataset.minutes, dataset.days];
  form.addEventListener("submit", (event) => { event.preventDefault(); soon(0); });
  form.addEventListener("input", ({ target }) => {
    const isSlid = target === minutes || target === days;
    isOther ||= !isSlid;
    show();
    soon(isSlid ? QUIET_MS : 0);
  });
  show();
}

// The time of leaving, and what it costs then, as far as the page itself knows.
function show() {
  const { dataset } = $("told"), total = Number(days.value) * 1440 + Number(minutes.value);
  const leaving = isOther ? null : Date.parse(dataset.entered) + total * MINUTE_MS;
  const isTold = !isOther && Number(dataset.days) * 1440 + Number(dataset.minutes) === total;
  const curve = leaving !== null && dataset.curve ? readCurve(dataset.curve) : null, point = curve && pointAt(curve, leaving);
  $("told").classList.toggle("stale", !isTold);
  const sum = stay.querySelector(".sum [data-fen=total]");
  if (sum) sum.textContent = isTold ? yuan(Number(dataset.total)) : point ? yuan(point.fen) : UNKNOWN;
  showNext(point && pointAfter(curve, leaving));
  showSliders(leaving === null ? UNKNOWN : say(leaving, zone), total, sum);
}

function showSliders(at, total, sum) {
  const { text, whole } = length.dataset;
  const spent = (total % 60 ? text : whole).replace("{h}", Math.floor(total / 60)).replace("{m}", total % 60);
  [$("leave").textContent, length.textContent, $("more").textContent] = [at, `(${spent})`, days.value];
  const words = [at, spent, ...(sum ? [`¥ ${sum.textContent}`] : [])].join(", ");
  minutes.setAttribute("aria-valuetext", words);
  days.setAttribute("aria-valuetext", `${days.value}: ${words}`);
}

function showNext(point) {
  const next = stay.querySelector(".next");
  if (!next) return;
  next.hidden = !point;
  if (point) next.textContent = next.dataset.text.replace("{t}", say(point.at, zone)).replace("{yuan}", yuan(point.fen));
}

function soon(wait) {
  clearTimeout(timer);
  asking?.abort();
  timer = setTimeout(ask, wait);
}

async function ask() {
  const mine = asking = new AbortController();
  try {
    const answer = await fetch(`${form.dataset.stay}?${new URLSearchParams(new FormData(form))}`, { signal: mine.signal });
    if (answer.status >= 500) throw new Error(String(answer.status));
    stay.innerHTML = await answer.text();
    [isOther, late.hidden] = [false, true];
    if ($("bad")?.dataset.field === "entered") entered.setAttribute("aria-invalid", "true");
    else entered.removeAttribute("aria-invalid");
    show();
  } catch (failed) {
    if (failed.name !== "AbortError") late.hidden = false;
  }
}

start();
