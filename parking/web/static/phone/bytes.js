// Bytes as the page meets them: in hexadecimal, as one number, as base64url.
export const toHex = (bytes) => Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
export const toNumber = (bytes) => BigInt(`0x${toHex(bytes)}`);
export const fromHex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
export const fromBase64 = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));

export function join(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}
