// The code that the service makes, for a phone that cannot hold a key: it renews itself before it expires,
// and says when it could not.
const figure = document.getElementById("code");
const picture = figure.querySelector("img");
const left = document.getElementById("left");
let query = "", expires = 0, refresh = 0, busy = false, shown = null;

async function renew() {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch(`/v1/codes/current.svg${query}`, { cache: "no-store" });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) throw new Error(answer.status);
    // Measure on the server's clock: a phone's own clock may be wrong.
    const offset = Date.now() - Date.parse(answer.headers.get("Date"));
    expires = Date.parse(answer.headers.get("Code-Expires-At")) + offset;
    refresh = Math.min(Date.parse(answer.headers.get("Code-Refresh-After")) + offset, Date.now() + 30000);
    picture.src = `data:image/svg+xml;base64,${btoa(await answer.text())}`;
    figure.hidden = false;
    shown = picture.src;
  } catch {
    refresh = Date.now() + 2000;
  } finally {
    busy = false;
  }
}

function tick() {
  const now = Date.now();
  const old = shown !== null && now >= expires;
  figure.toggleAttribute("data-old", old);
  left.textContent = old ? left.dataset.lost
    : left.dataset.text.replace("{n}", Math.max(0, Math.ceil((refresh - now) / 1000)));
  if (now >= refresh && !document.hidden) renew();
}

export async function showIssued(plate) {
  query = plate ? `?plate=${encodeURIComponent(plate)}` : "";
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  await renew();
  tick();
  setInterval(tick, 500);
}
