// Somebody opens from afar: asked for every few seconds, carried out once, and never late.
import { count } from "./counts.js";
import { openedRemotely, tell } from "./journal.js";
import { show } from "./result.js";
import { call } from "./service.js";

const EVERY_MS = 3000, PLACE = "gate-orders", KEPT_MAX = 50;
const done = () => JSON.parse(localStorage.getItem(PLACE) ?? "[]");

export function followOrders() {
  setTimeout(async () => {
    await ask().catch(() => {});
    followOrders();
  }, EVERY_MS);
}

async function ask() {
  const asked = performance.now(), { status, said } = await call("/v1/terminal/orders");
  if (status !== 200) return;
  for (const order of said.orders) {
    const left = Date.parse(order.expires_at) - Date.parse(said.server_time) - (performance.now() - asked);
    if (left > 0 && !done().includes(order.id)) carryOut(order);
  }
  await tell();
}

function carryOut(order) {
  localStorage.setItem(PLACE, JSON.stringify([...done(), order.id].slice(-KEPT_MAX)));
  openedRemotely(order);
  count("open");
  show({ decision: "open", text: document.getElementById("result").dataset.remote });
}
