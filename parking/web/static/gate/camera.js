// The camera of the lane: its picture, its torch, and what it reads.
import { makeReader, prepare } from "./decode.js";

const GONE_MS = 5000, REST_MS = 30, FRAME_MS_MAX = 250;
prepare();

// Until the camera ends, or the signal ends it; rejects then, and where there is none. found resolves to false
// where nothing was asked: then what is still before the camera is tried again.
export async function watch(video, torch, found, signal = null) {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: "environment", width: 640, height: 480 },
  });
  const [track] = stream.getVideoTracks();
  signal?.addEventListener("abort", () => track.stop());
  if (signal?.aborted) track.stop();
  video.srcObject = stream;
  await video.play();
  offerTorch(track, torch);
  const canvas = document.createElement("canvas"), read = makeReader();
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  let last = "", lastAt = 0;
  while (track.readyState === "live") {
    if (video.videoWidth) {
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      pen.drawImage(video, 0, 0);
      const text = await read(canvas);
      // One showing is one question: the same text is asked again only after it was gone for a while.
      const isNew = text && (text !== last || performance.now() - lastAt > GONE_MS);
      if (text) { last = text; lastAt = performance.now(); }
      if (isNew && !await found(text)) last = "";
    }
    await nextFrame(video);
  }
  torch.hidden = true;
  throw new Error("the camera ended");
}

function nextFrame(video) {
  return new Promise((done) => {
    const late = setTimeout(done, FRAME_MS_MAX);
    const rested = () => { clearTimeout(late); setTimeout(done, REST_MS); };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(rested);
    else rested();
  });
}

function offerTorch(track, button) {
  let lit = false;
  button.hidden = !track.getCapabilities?.().torch;
  button.onclick = async () => {
    try {
      await track.applyConstraints({ advanced: [{ torch: !lit }] });
      lit = !lit;
    } catch {
      button.hidden = true; // it said that it could
    }
    button.setAttribute("aria-pressed", String(lit));
  };
}
