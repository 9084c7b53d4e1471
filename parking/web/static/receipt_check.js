// The stamp of a receipt (parking/core/receipt_stamp.py) stands behind the # of the address, where no server sees it.
const CHARS_MAX = 4096;
const shown = document.getElementById("stamp");
const form = document.querySelector("form.narrow");

class BadStamp extends Error {}

function bytes(part) {
  const text = atob(part.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function object(part) {
  try {
    const made = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes(part)));
    if (made && typeof made === "object") return made;
  } catch {
    // no base64, no UTF-8 or no JSON: as any other text
  }
  throw new BadStamp("not_a_stamp");
}

async function read(text) {
  const parts = text.trim().slice(text.trim().lastIndexOf("#") + 1).split(".");
  if (parts.length !== 3 || text.length > CHARS_MAX + 200) throw new BadStamp("not_a_stamp");
  const head = object(parts[0]);
  if (head.alg !== "ES256" || head.typ !== shown.dataset.type) throw new BadStamp("not_a_stamp");
  const { keys } = await (await fetch("/.well-known/jwks.json")).json();
  const key = keys.find((each) => each.kid === head.kid && each.parking_purpose === "receipt");
  if (!key) throw new BadStamp("key_not_published");
  if (key.revoked) throw new BadStamp("key_revoked");
  const curve = { name: "ECDSA", namedCurve: "P-256" };
  const jwk = { kty: key.kty, crv: key.crv, x: key.x, y: key.y };
  const imported = await crypto.subtle.importKey("jwk", jwk, curve, false, ["verify"]);
  const signed = new TextEncoder().encode(`${parts[0]}.${parts[1]}`);
  let signature;
  try {
    signature = bytes(parts[2]);
  } catch {
    throw new BadStamp("signature_broken");
  }
  if (!(await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, imported, signature, signed))) {
    throw new BadStamp("signature_broken");
  }
  const said = object(parts[1]);
  if (said.v !== 1) throw new BadStamp("version_unknown");
  return said;
}

function tell(said) {
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, {
    timeZone: said.tz, dateStyle: "medium", timeStyle: "medium",
  });
  for (const place of shown.querySelectorAll("[data-is]")) {
    const name = place.dataset.is;
    const value = said[name];
    if (["in", "out", "at"].includes(name)) place.textContent = clock.format(new Date(value * 1000));
    else if (["fee", "off", "paid", "back"].includes(name)) place.textContent = (value / 100).toFixed(2);
    else place.textContent = value ?? "–";
  }
}

async function check(text) {
  let word = "holds";
  try {
    tell(await read(text));
  } catch (wrong) {
    word = wrong instanceof BadStamp ? wrong.message : "cannot_check";
  }
  for (const each of shown.querySelectorAll("[data-when]")) each.hidden = each.dataset.when !== word;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  check(form.elements.text.value);
});
const stamp = () => location.hash.length > 1 && check(location.hash);
window.addEventListener("hashchange", stamp);
stamp();
