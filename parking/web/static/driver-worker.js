// The driver's page without network: the page as it was last served, and the files that it is made of.
//
// The network comes first; what it gave is kept. Only /driver itself and files that are the same for
// everybody are kept, and sign-out throws them away (phone/leave.js). Answers of /v1 are never kept.
const CACHE = "driver";
const PAGE = "/driver";
const FILES = [
  "/vendor/pico.css", "/vendor/htmx.js", "/vendor/qr.js", "/static/app.css", "/static/icon.svg", "/static/driver.js",
  "/static/qr.js", ...["answer", "bytes", "clock", "code", "contact", "credential", "curve", "fee", "issued", "key", "leave", "shelf", "sign_out"].map(
    (name) => `/static/phone/${name}.js`),
];
// Of phones that gates ask for an answer: kept once they ask for them (phone/answer.js), and then renewed too.
const READER = [
  "/vendor/zxing/reader.js", "/vendor/zxing/reader.wasm", "/static/gate/camera.js", "/static/gate/decode.js",
];
const WAIT_MS = 2500, LOST_MS = 10_000;
let lostAt = -Infinity; // one wait is enough for a page: its files do not each wait again

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(renew());
});

async function renew() {
  const cache = await caches.open(CACHE), reader = [];
  for (const each of READER) if (await cache.match(each)) reader.push(each);
  await cache.addAll([...FILES, ...reader].map((each) => new Request(each, { cache: "no-cache" })));
}

self.addEventListener("activate", (event) => {
  event.waitUntil(self.clients.claim().then(() => ask(PAGE, PAGE)).catch(() => {}));
});

self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request, { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== self.location.origin) return;
  if (mode === "navigate" ? pathname === PAGE : [...FILES, ...READER].includes(pathname)) {
    event.respondWith(answer(event.request, pathname));
  }
});

async function answer(request, key) {
  const isPage = key === PAGE;
  if (isPage || performance.now() > lostAt + LOST_MS) {
    try {
      return await Promise.race([ask(request, key), late()]);
    } catch {
      lostAt = performance.now();
    }
  }
  return await caches.match(key, { cacheName: CACHE }) ?? fetch(request);
}

// A page that was led elsewhere, as to sign in, is not this page.
async function ask(request, key) {
  const fresh = await fetch(request);
  if (fresh.ok && !fresh.redirected) await (await caches.open(CACHE)).put(key, fresh.clone());
  return fresh;
}

const late = () => new Promise((_, reject) => { setTimeout(reject, WAIT_MS); });
