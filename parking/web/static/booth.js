// At the booth: the change as it is typed, and what a count comes to. Without this the page does the same at Enter.

const YUAN = /^\s*(\d{1,10})(?:\.(\d{1,2}))?\s*$/;
const read = (text) => {
  const found = YUAN.exec(text);
  return found ? Number(found[1]) * 100 + Number((found[2] || "").padEnd(2, "0")) : null;
};
const yuan = (fen) => `${Math.floor(fen / 100)}.${String(fen % 100).padStart(2, "0")}`;

const given = document.querySelector("input[name=given]");
if (given) {
  const change = document.getElementById("change"), due = Number(given.dataset.due);
  const show = () => {
    const fen = read(given.value);
    change.textContent = fen === null || fen < due ? "–" : `¥ ${yuan(fen - due)}`;
  };
  given.addEventListener("input", show);
  given.select();
  show();
}

const pieces = [...document.querySelectorAll("input[data-fen]")];
if (pieces.length) {
  const total = document.querySelector("input[name=counted]");
  const add = () => {
    const isCounted = pieces.some((each) => each.value !== "");
    total.readOnly = isCounted;
    if (isCounted) total.value = yuan(pieces.reduce((sum, each) => sum + Number(each.dataset.fen) * Number(each.value), 0));
  };
  for (const each of pieces) each.addEventListener("input", add);
  add();
}

// A form that is on its way is not sent again: one deed, one answer.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", () => document.querySelectorAll("form[data-once]").forEach((form) => delete form.dataset.sent));
