// The fee of what is inside goes on by itself, as its curve tells; where the curve ends, the page says as of when.
import * as clock from "./clock.js";
import { pointAfter, pointAt, readCurve, yuan } from "./curve.js";

// now: of the service's clock. zone: by whose clock people read the times.
export function tickFees(root, now, zone) {
  for (const visit of root.querySelectorAll("[data-curve]")) tick(visit, now, zone);
}

function tick(visit, now, zone) {
  const curve = readCurve(visit.dataset.curve), { points, until } = curve;
  const point = pointAt(curve, now) ?? (now < until ? points[0] : points.at(-1));
  const told = Number(visit.dataset.total), due = Math.max(0, point.fen - Number(visit.dataset.paid));
  for (const [name, fen] of [["total", point.fen], ["due", due], ["more", point.fen - told]]) {
    for (const each of visit.querySelectorAll(`[data-fen=${name}]`)) write(each, yuan(fen));
  }
  const since = visit.querySelector(".since"), nothing = visit.querySelector(".nothing");
  since.hidden = point.fen === told;
  write(since.firstElementChild, clock.say(point.at, zone));
  if (nothing) nothing.hidden = !since.hidden;
  const next = pointAfter(curve, now);
  say(visit.querySelector(".next"), now < until && next, next && { t: clock.say(next.at, zone), yuan: yuan(next.fen) });
  say(visit.querySelector(".ended"), now >= until, { t: clock.say(until, zone) });
  for (const pay of visit.querySelectorAll("button[data-text]")) {
    write(pay, pay.dataset.text.replace("{yuan}", yuan(due)));
  }
}

function say(element, isSaid, words) {
  element.hidden = !isSaid;
  if (isSaid) write(element, element.dataset.text.replace(/\{(\w+)\}/g, (_, name) => words[name]));
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
