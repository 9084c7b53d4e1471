// The editor of a tariff: while somebody types in the form the JSON follows, and the form follows the JSON;
// the preview follows both. The service does the work; what is saved is what the page sends.
import { draw } from "./chart.js";

const QUIET_MS = 350; // after the last key
const form = document.getElementById("editor"), preview = document.getElementById("preview");
const state = document.getElementById("preview-state"), shape = document.getElementById("shape");
const noShape = document.getElementById("no-shape"), body = form.elements.body;

let timer = null, asking = null, source = null;

form.addEventListener("input", (event) => {
  if (event.target.name === "note") return;
  source = event.target === body ? "json" : "form";
  clearTimeout(timer);
  asking?.abort();
  timer = setTimeout(ask, QUIET_MS);
});

async function ask() {
  const sent = new FormData(form), from = source;
  sent.set("do", from);
  const mine = asking = new AbortController();
  try {
    const answer = await fetch("/console/tariff-drafts/preview", {
      method: "POST", body: new URLSearchParams(sent), signal: mine.signal,
    });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    show(await answer.json(), from);
    state.textContent = form.dataset.fresh;
  } catch (failed) {
    if (failed.name !== "AbortError") state.textContent = form.dataset.late;
  }
}

function show({ body: text, fields, stamp, html, no_form: why }, from) {
  if (from === "form") body.value = text;
  else if (fields) for (const [name, value] of Object.entries(fields)) form.elements[name].value = value;
  const isShown = from === "form" || fields !== null;
  shape.hidden = !isShown;
  noShape.hidden = isShown;
  noShape.textContent = why;
  for (const each of shape.querySelectorAll("fieldset")) each.disabled = !isShown;
  form.elements.stamp.value = stamp;
  for (const each of shape.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
  preview.innerHTML = html;
  for (const each of preview.querySelectorAll(".alert code")) form.elements[each.textContent]?.setAttribute?.("aria-invalid", "true");
  draw(preview);
}
