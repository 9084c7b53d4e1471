import { forget } from "./phone/leave.js";

// An invitation was opened: its code stands behind the # of the address, where no server sees it.
const code = decodeURIComponent(location.hash.slice(1));
if (code) {
  document.getElementById("code").value = code;
  history.replaceState(null, "", location.pathname); // it stays in no history
}

// Who takes it is another holder than the one before, of whom nothing stays on this phone.
const form = document.querySelector("form[action='/join']");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await forget().catch(() => {});
  form.submit();
});
