// The gate page without the service: the page as it was last served, and the files that it is made of.
//
// The network comes first; what it gave is kept. Without a terminal the page leads to the pairing,
// and then the kept one is thrown away. Answers of /v1 are never kept.
const CACHE = "gate";
const PAGE = "/gate";
const FILES = [
  "/vendor/pico.css", "/vendor/zxing/reader.js", "/vendor/zxing/reader.wasm", "/static/app.css", "/static/gate.css",
  "/static/icon.svg", "/static/qr.js", "/vendor/qr.js",
  ...[
    "ask", "camera", "challenge", "counts", "decode", "journal", "orders", "page", "result", "scanner", "service",
    "signal", "status",
  ].map((name) => `/static/gate/${name}.js`),
];
const WAIT_MS = 2500, LOST_MS = 10_000;
let lostAt = -Infinity; // one wait is enough for a page: its files do not each wait again

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(self.clients.claim().then(() => ask(PAGE, PAGE)).catch(() => {}));
});

self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request, { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== self.location.origin) return;
  if (mode === "navigate" ? pathname === PAGE : FILES.includes(pathname)) {
    event.respondWith(answer(event.request, pathname));
  }
});

async function answer(request, key) {
  if (key === PAGE || performance.now() > lostAt + LOST_MS) {
    try {
      return await Promise.race([ask(request, key), late()]);
    } catch {
      lostAt = performance.now();
    }
  }
  return await caches.match(key, { cacheName: CACHE }) ?? fetch(request);
}

async function ask(request, key) {
  const fresh = await fetch(request), cache = await caches.open(CACHE);
  if (fresh.status >= 500) throw new Error(fresh.status);
  if (fresh.ok && !fresh.redirected) await cache.put(key, fresh.clone());
  else if (key === PAGE) await cache.delete(PAGE);
  return fresh;
}

const late = () => new Promise((_, reject) => { setTimeout(reject, WAIT_MS); });
