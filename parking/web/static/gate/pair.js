// A console's picture was scanned: its code stands behind the # of the address, where no server sees it.
const code = new URLSearchParams(location.hash.slice(1)).get("pairing");
if (code) {
  document.getElementById("code").value = code;
  history.replaceState(null, "", location.pathname); // it stays in no history
}
