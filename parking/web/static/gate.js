// The gate page: camera, hardware scanner or keyboard in; one clear answer out.
const $ = (id) => document.getElementById(id);
const result = $("result"), say = $("say"), detail = $("detail"), free = $("free"), pay = $("pay"), state = $("camera-state");
const language = document.documentElement.lang;
const idle = say.textContent;
let sequence = 1, offset = 0, busy = false, last = "", lastAt = 0, timer = 0, pending = null;

ZXingWASM.prepareZXingModule({ overrides: { locateFile: () => "/vendor/zxing/reader.wasm" }, fireImmediately: true });

async function hello() {
  try {
    const started = Date.now();
    const answer = await fetch("/v1/terminal", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) throw new Error(answer.status);
    const me = await answer.json();
    sequence = Math.max(sequence, me.next_sequence);
    offset = Math.round((started + Date.now()) / 2 - Date.parse(me.server_time));
    free.textContent = me.lot.free_spaces;
    state.textContent = "";
  } catch {
    state.textContent = state.dataset.lost;
  }
}

function show(kind, text, more, mustPay = false) {
  result.dataset.state = kind;
  say.textContent = text;
  detail.textContent = more;
  pay.hidden = !mustPay;
  clearTimeout(timer);
  timer = setTimeout(() => {
    result.dataset.state = "idle"; say.textContent = idle; detail.textContent = ""; pay.hidden = true;
  }, mustPay ? 60000 : 6000);
}

// A scan whose answer was lost is sent again as it was, also when the same is shown again a little
// later: the service records it once and answers it alike.
function scanOf(shown) {
  const isSame = pending && pending.code === shown.code && pending.plate === shown.plate;
  if (isSame && Date.now() - Date.parse(pending.scanned_at) < 50000) return pending;
  return {
    scan_id: crypto.randomUUID?.() ?? uuid(), sequence, scanned_at: new Date().toISOString(),
    clock_offset_ms: offset, ...shown,
  };
}

async function ask(shown) {
  if (busy) return;
  busy = true;
  await greeted; // the number and the clock's offset are the service's to tell
  pending = scanOf(shown);
  for (let attempt = 0; pending && attempt < 4; attempt++) {
    try {
      await send();
    } catch {
      state.textContent = state.dataset.lost;
      await new Promise((done) => setTimeout(done, 400 * (attempt + 1)));
    }
  }
  if (pending) last = ""; // not answered: what is still before the camera is asked again
  busy = false;
}

async function send() {
  const answer = await fetch("/v1/scans", {
    method: "POST", body: JSON.stringify(pending), headers: { "Content-Type": "application/json" },
    signal: AbortSignal.timeout(3000),
  });
  if (answer.status >= 500) throw new Error(answer.status);
  const said = await answer.json();
  state.textContent = "";
  if (answer.status === 409 && said.next_sequence) {
    // Another page of this terminal took the number: nothing was recorded for this scan yet.
    sequence = said.next_sequence;
    pending = { ...pending, sequence };
    return;
  }
  pending = null;
  if (!answer.ok) { show("hold", said.detail, ""); return; }
  sequence = said.next_sequence;
  free.textContent = said.lot.free_spaces;
  const fee = said.fee ? `¥ ${(said.fee.due_fen / 100).toFixed(2)}` : "";
  show(said.decision, said.message[language] ?? said.message.en,
       [said.parking_session?.plate, fee].filter(Boolean).join(" · "),
       said.decision === "hold" && said.reason === "fee_due");
}

function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64; bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((each) => each.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function watch() {
  const video = $("camera"), canvas = document.createElement("canvas");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: 640, height: 480 } });
  video.srcObject = stream;
  await video.play();
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  while (true) {
    if (!busy && video.videoWidth) {
      canvas.width = video.videoWidth; canvas.height = video.videoHeight;
      pen.drawImage(video, 0, 0);
      const found = await ZXingWASM.readBarcodes(pen.getImageData(0, 0, canvas.width, canvas.height),
        { formats: ["QRCode"], maxNumberOfSymbols: 1, tryHarder: false, tryRotate: false, tryInvert: false });
      const text = found[0]?.text ?? "";
      // One showing is one question: the same text is asked again only after it was gone for a while.
      if (text && (text !== last || Date.now() - lastAt > 5000)) { last = text; lastAt = Date.now(); await ask({ code: text }); }
      else if (text) lastAt = Date.now();
    }
    await new Promise((done) => setTimeout(done, 60));
  }
}

const greeted = hello();
$("type").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("typed").value.trim();
  $("typed").value = "";
  if (text) ask(/^\d{15,}$|^https?:/i.test(text) ? { code: text } : { plate: text });
});
setInterval(hello, 15000);
watch().catch(() => { state.textContent = state.dataset.none; });
