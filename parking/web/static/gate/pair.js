import { isTold } from "./journal.js";

// A console's picture was scanned: its code stands behind the # of the address, where no server sees it.
const code = new URLSearchParams(location.hash.slice(1)).get("pairing");
if (code) {
  document.getElementById("code").value = code;
  history.replaceState(null, "", location.pathname); // it stays in no history
}

// What the terminal before has still to send would be told as the new one's.
document.querySelector("form[action='/gate/pair']").addEventListener("submit", (event) => {
  if (isTold()) return;
  event.preventDefault();
  document.getElementById("untold").hidden = false;
});
