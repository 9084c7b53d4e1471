// The gate page: camera, hardware scanner or keyboard in; one clear answer out.
import { ask, giveUp } from "./ask.js";
import { watch } from "./camera.js";
import { forgetCounts } from "./counts.js";
import { forgetRefused, isTold, liftedByHand, speakFor, tell } from "./journal.js";
import { followOrders } from "./orders.js";
import { goIdle } from "./result.js";
import { listenForScanner } from "./scanner.js";
import { hello, known } from "./service.js";
import { enableSound } from "./signal.js";
import { showStatus } from "./status.js";

const $ = (id) => document.getElementById(id);
const HELLO_MS = 15000, CAMERA_AGAIN_MS = 10000;

async function greet() {
  const status = await hello();
  if (status === 401) location.reload();
  if (status === 200) {
    speakFor(known.terminal);
    await tell().catch(() => {});
  }
  showStatus();
}

const greeted = greet(); // the number and the clock's offset are the service's to tell
async function askOnceGreeted(shown) {
  await greeted;
  const isDone = await ask(shown);
  showStatus();
  return isDone;
}
const isCode = (text) => /^\d{15,}$|^https?:/i.test(text);

listenForScanner((text) => askOnceGreeted({ code: text }));
$("type").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("typed").value.trim();
  $("typed").value = "";
  if (text) askOnceGreeted(isCode(text) ? { code: text } : { plate: text });
});
$("by-hand").addEventListener("submit", (event) => {
  event.preventDefault();
  const said = Object.fromEntries(new FormData(event.target));
  liftedByHand({ direction: known.direction, ...said });
  $("lifted-plate").value = "";
  $("noted").hidden = false;
  setTimeout(() => { $("noted").hidden = true; }, 6000);
  greet();
});
for (const part of document.querySelectorAll("fieldset.ready")) part.disabled = false;
$("dismiss").addEventListener("click", () => { giveUp(); goIdle(); });
addEventListener("offline", greet);
addEventListener("online", greet);
setInterval(greet, HELLO_MS);
setInterval(showStatus, 1000);
enableSound();
followOrders();

async function keepWatching() {
  const state = $("camera-state");
  for (;;) {
    try {
      state.textContent = "";
      await watch($("camera"), $("torch"), (text) => askOnceGreeted({ code: text }));
    } catch {
      state.textContent = state.dataset.none;
    }
    await new Promise((done) => { setTimeout(done, CAMERA_AGAIN_MS); });
  }
}
keepWatching();

// The screen stays on; a browser lets go of it whenever the page is hidden.
async function stayAwake() {
  if (!document.hidden) await navigator.wakeLock?.request("screen").catch(() => {});
}
document.addEventListener("visibilitychange", stayAwake);
stayAwake();

// The page opens without the service too. Giving the terminal back throws the kept page away, but not
// what this terminal has still to tell.
if ("serviceWorker" in navigator) navigator.serviceWorker.register("/gate-worker.js", { scope: "/gate" }).catch(() => {});
$("unpair").addEventListener("submit", (event) => {
  if (!isTold()) {
    event.preventDefault();
    $("untold").hidden = false;
    return;
  }
  forgetCounts();
  forgetRefused();
  self.caches?.delete("gate");
});
