// A lot's page: two sliders say when the car would leave. The amount follows them by the curve that the page holds;
// the lines, and the curve of another day, come from the service a moment later.
import { say } from "./phone/clock.js";
import { pointAfter, pointAt, readCurve, yuan } from "./phone/curve.js";

const QUIET_MS = 250, MINUTE_MS = 60_000;
const form = document.getElementById("ask"), stay = document.getElementById("stay"), late = document.getElementById("late");
const { minutes, days, entered } = form.elements;
const leave = document.getElementById("leave"), length = document.getElementById("length"), more = document.getElementById("more");
let timer = null, asking = null;

for (const each of form.querySelectorAll(".unscripted")) {
  each.hidden = true;
  for (const input of each.querySelectorAll("input")) input.disabled = true;
}
for (const each of form.querySelectorAll(".scripted")) {
  each.hidden = false;
  for (const input of each.querySelectorAll("input")) input.disabled = false;
}
const told = stay.querySelector("#told");
[minutes.value, days.value] = [told.dataset.minutes, told.dataset.days];
form.addEventListener("submit", (event) => { event.preventDefault(); soon(0); });
form.addEventListener("input", ({ target }) => {
  const isSlid = target === minutes || target === days;
  if (isSlid) show();
  else stay.firstElementChild.classList.add("stale");
  soon(isSlid ? QUIET_MS : 0);
});
show();

// The amount and the time of leaving, as far as the page itself knows them.
function show() {
  const { dataset } = stay.querySelector("#told");
  const total = Number(days.value) * 1440 + Number(minutes.value);
  const leaving = Date.parse(dataset.entered) + total * MINUTE_MS;
  const spent = (total % 60 ? length.dataset.text : length.dataset.whole).replace("{h}", Math.floor(total / 60)).replace("{m}", total % 60);
  const at = say(leaving, form.dataset.zone);
  [leave.textContent, length.textContent, more.textContent] = [at, `(${spent})`, days.value];
  const curve = dataset.curve && readCurve(dataset.curve), point = curve && pointAt(curve, leaving);
  const sum = stay.querySelector(".sum [data-fen=total]"), isTold = Number(dataset.days) * 1440 + Number(dataset.minutes) === total;
  if (sum && !isTold) sum.textContent = point ? yuan(point.fen) : "…";
  stay.querySelector("#told").classList.toggle("stale", !isTold);
  const words = `${at}, ${spent}${sum ? `, ¥ ${sum.textContent}` : ""}`;
  minutes.setAttribute("aria-valuetext", words);
  days.setAttribute("aria-valuetext", `${days.value}: ${words}`);
  const next = stay.querySelector(".next"), following = point && pointAfter(curve, leaving);
  if (!next || isTold) return;
  next.hidden = !following;
  if (following) next.textContent = next.dataset.text.replace("{t}", say(following.at, form.dataset.zone)).replace("{yuan}", yuan(following.fen));
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
    late.hidden = true;
    const bad = stay.querySelector("#bad")?.dataset.field;
    if (bad === "entered") entered.setAttribute("aria-invalid", "true");
    else entered.removeAttribute("aria-invalid");
    show();
  } catch (failed) {
    if (failed.name !== "AbortError") late.hidden = false;
  }
}
