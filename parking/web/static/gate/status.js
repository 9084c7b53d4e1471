// How the gate stands: today's counts, what waits to be sent, and how long the service has been silent.
import { asking } from "./ask.js";
import { counts } from "./counts.js";
import { refusedCount, waitingCount } from "./journal.js";
import { isConnected, known } from "./service.js";

const $ = (id) => document.getElementById(id);

export function showStatus() {
  const { open, hold } = counts();
  set("free", known.freeSpaces ?? "–");
  set("opened", open);
  set("held", hold);
  set("waiting", waitingCount() + (asking() ? 1 : 0));
  set("contact", known.heardAt === null ? "–" : age(performance.now() - known.heardAt));
  const refused = refusedCount();
  $("refused").hidden = refused === 0;
  set("refused", $("refused").dataset.text.replace("{n}", refused));
  if ($("lost").hidden !== isConnected()) {
    $("lost").hidden = isConnected();
    if (!isConnected()) $("lifted").open = true;
  }
}

// Only what changed is written, so that a screen reader is not told each second.
function set(id, value) {
  if ($(id).textContent !== String(value)) $(id).textContent = value;
}

function age(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const { s, min, h } = $("contact").dataset;
  if (seconds < 60) return s.replace("{n}", seconds);
  return seconds < 3600 ? min.replace("{n}", Math.floor(seconds / 60)) : h.replace("{n}", Math.floor(seconds / 3600));
}
