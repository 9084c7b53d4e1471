// A hardware scanner is a keyboard that types a code and Enter, wherever the focus is.
//
// A run of keys without a pause that ends in Enter and looks like a code is taken out of the page's
// hands; what a person types into a field is left alone. Scanners leave 1 to 50 ms between keys, a
// radio link or a busy tablet more.
const PAUSE_MS = 400;
const CODE = /(?:\d{15,}|https?:\S+)$/i;

export function listenForScanner(found) {
  let run = "", lastAt = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.timeStamp - lastAt > PAUSE_MS) run = "";
    lastAt = event.timeStamp;
    if (event.key.length === 1) { run += event.key; return; }
    if (event.key !== "Enter" && event.key !== "Tab") return;
    const code = CODE.exec(run)?.[0];
    run = "";
    if (!code) return;
    event.preventDefault(); // it would press the button that has the focus, or send the form
    event.stopPropagation();
    const field = document.activeElement;
    if (field?.value?.endsWith(code)) field.value = field.value.slice(0, -code.length);
    found(code);
  }, { capture: true });
}
