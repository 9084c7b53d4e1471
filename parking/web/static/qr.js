// Text as a QR picture: an SVG of one path, in which each run of dark modules is one stroke, sharp at any size.
import encodeQR from "/vendor/qr.js";

const QUIET_ZONE = 4;

export function drawQr(text, options) {
  const rows = encodeQR(text, "raw", { border: QUIET_ZONE, ...options });
  let path = "";
  rows.forEach((row, y) => {
    for (let x = 0, end; x < row.length; x = end + 1) {
      for (end = x; row[end]; end++);
      if (end > x) path += `M${x} ${y}h${end - x}v1H${x}z`;
    }
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${rows.length} ${rows.length}" shape-rendering="crispEdges">`
    + `<path fill="#fff" d="M0 0h${rows.length}v${rows.length}H0z"/><path d="${path}"/></svg>`;
  return `data:image/svg+xml;base64,${btoa(svg)}`;
}
