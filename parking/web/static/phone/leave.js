// Nothing of a driver stays on the phone after sign-out: keys, credentials, notes, pages.
import * as shelf from "./shelf.js";

let leaving = false;

export const isLeaving = () => leaving;

export async function forget() {
  leaving = true;
  const workers = await navigator.serviceWorker?.getRegistrations() ?? [];
  await Promise.all(workers.filter((each) => each.scope.endsWith("/driver")).map((each) => each.unregister()));
  const kept = await globalThis.caches?.keys() ?? [];
  await Promise.all(kept.filter((name) => name.startsWith("driver")).map((name) => caches.delete(name)));
  if (globalThis.indexedDB) await shelf.destroy();
}
