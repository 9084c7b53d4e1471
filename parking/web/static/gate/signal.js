// What is heard and felt: two rising tones for open, three low ones for hold.
//
// Browsers are silent, and complain, until the page has been touched once; so nothing is made before.
const TONES = { open: [[660, 0.12], [990, 0.22]], hold: [[220, 0.18], [220, 0.18], [196, 0.35]] };
const SHAKES = { open: [120], hold: [200, 100, 200, 100, 400] };
const GAP_S = 0.06, LOUDNESS = 0.25;
let sound = null;

export function enableSound() {
  for (const touch of ["pointerup", "keydown"]) addEventListener(touch, start, { once: true, capture: true });
}

function start() {
  try {
    sound ??= new AudioContext();
    sound.resume().catch(() => {});
  } catch {
    sound = null; // a browser without sound, or one that may have none
  }
}

export function signal(decision) {
  if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.(SHAKES[decision]);
  if (sound?.state !== "running") return;
  let at = sound.currentTime;
  for (const [hertz, seconds] of TONES[decision]) {
    const tone = sound.createOscillator(), volume = sound.createGain();
    tone.frequency.value = hertz;
    tone.type = decision === "open" ? "sine" : "square";
    volume.gain.setValueAtTime(LOUDNESS, at);
    volume.gain.linearRampToValueAtTime(0, at + seconds);
    tone.connect(volume).connect(sound.destination);
    tone.start(at);
    tone.stop(at + seconds);
    at += seconds + GAP_S;
  }
}
