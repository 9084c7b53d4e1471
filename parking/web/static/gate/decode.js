// Reading one camera frame: a fast pass each time, and now and then a harder look.
//
// On frames that the fast pass misses, one threshold for the whole frame reads through stripes, and
// twice the size, then its edges sharpened, reads what is small or blurred (scripts/bench codes).
/* global ZXingWASM */
const FAST = {
  formats: ["QRCode"], maxNumberOfSymbols: 1, tryHarder: false, tryRotate: false, tryInvert: false,
  tryDownscale: false,
};
const HARDER = { ...FAST, tryHarder: true };
const MISSES_BEFORE = 3;
export const RETRIES = [
  (canvas) => decode(pixels(canvas), { ...HARDER, binarizer: "GlobalHistogram" }),
  (canvas) => decode(pixels(twice(canvas)), HARDER),
  (canvas) => decode(sharpen(pixels(twice(canvas))), HARDER),
];
const large = document.createElement("canvas");

export function prepare() {
  ZXingWASM.prepareZXingModule({
    overrides: { locateFile: () => "/vendor/zxing/reader.wasm" }, fireImmediately: true,
  });
}

// The text of a code in the canvas, or "". A reader remembers how often it saw nothing.
export function makeReader() {
  let misses = 0;
  return async (canvas) => {
    let text = await readFast(canvas);
    if (!text && ++misses % MISSES_BEFORE === 0) {
      text = await RETRIES[(misses / MISSES_BEFORE - 1) % RETRIES.length](canvas);
    }
    if (text) misses = 0;
    return text;
  };
}

export const readFast = (canvas) => decode(pixels(canvas), FAST);

async function decode(image, options) {
  const found = await ZXingWASM.readBarcodes(image, options);
  return found[0]?.text ?? "";
}

function pixels(canvas) {
  return canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height);
}

function twice(canvas) {
  large.width = canvas.width * 2;
  large.height = canvas.height * 2;
  const pen = large.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(canvas, 0, 0, large.width, large.height);
  return large;
}

// Unsharp mask on the green channel: each pixel is moved away from the mean of its 7 x 7 neighbours.
function sharpen(image) {
  const { width, height, data } = image, reach = 3, span = 2 * reach + 1, strength = 1.5;
  const rows = new Uint16Array(width * height);
  for (let y = 0; y < height; y++) {
    let sum = 0;
    for (let x = -reach; x < width; x++) {
      sum += data[4 * (y * width + Math.min(x + reach, width - 1)) + 1];
      if (x >= reach + 1) sum -= data[4 * (y * width + x - reach - 1) + 1];
      if (x >= 0) rows[y * width + x] = sum;
    }
  }
  const sums = new Uint32Array(width);
  for (let y = -reach; y < height; y++) {
    const enters = Math.min(y + reach, height - 1) * width, leaves = (y - reach - 1) * width;
    for (let x = 0; x < width; x++) {
      sums[x] += rows[enters + x] - (leaves >= 0 ? rows[leaves + x] : 0);
      if (y < 0) continue;
      const place = 4 * (y * width + x), grey = data[place + 1];
      const sharp = grey + strength * (grey - sums[x] / (span * span));
      data[place] = data[place + 2] = sharp; // clamped by the array
      data[place + 1] = sharp;
    }
  }
  return image;
}
