// A gate shows a number and asks this phone to sign it: the number is read by the phone's own camera.
import { fromHex } from "./bytes.js";

const NUMBER = /^PKN1([0-9a-f]{14})$/;
const FILES = [
  "/vendor/zxing/reader.js", "/vendor/zxing/reader.wasm", "/static/gate/camera.js", "/static/gate/decode.js",
];
let loading = null;

// The reader is large, so only a phone that may be asked loads it.
export function prepare() {
  loading ??= load().catch((error) => { loading = null; throw error; });
  return loading;
}

async function load() {
  await new Promise((done, fail) => {
    const script = document.createElement("script");
    Object.assign(script, { src: "/vendor/zxing/reader.js", onload: done, onerror: fail });
    document.head.append(script);
  });
  return import("/static/gate/camera.js");
}

// What was loaded before the worker listened is asked for again, so that it is there without network too.
export async function keep() {
  if (!navigator.serviceWorker?.controller) return;
  for (const each of FILES) {
    if (!await caches.match(each, { cacheName: "driver" })) await fetch(each);
  }
}

// The 7 bytes that the gate shows; null where the dialog was closed before.
export function readNumber(dialog) {
  const [video, torch, say] = ["video", ".torch", ".say"].map((each) => dialog.querySelector(each));
  const closed = new AbortController();
  let number = null;
  say.textContent = say.dataset.hint;
  dialog.addEventListener("close", () => closed.abort(), { once: true });
  dialog.showModal();
  const found = async (text) => {
    const digits = NUMBER.exec(text)?.[1];
    if (digits) [number] = [fromHex(digits), dialog.close()];
    else say.textContent = say.dataset.other;
    return true;
  };
  prepare().then(({ watch }) => watch(video, torch, found, closed.signal)).catch(() => {
    if (!closed.signal.aborted) say.textContent = say.dataset.none;
  });
  return new Promise((done) => { closed.signal.addEventListener("abort", () => done(number)); });
}
