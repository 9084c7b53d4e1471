// An invitation was opened: its code stands behind the # of the address, where no server sees it.
const code = decodeURIComponent(location.hash.slice(1));
if (code) {
  document.getElementById("code").value = code;
  history.replaceState(null, "", location.pathname); // it stays in no history
}
