// Signing out empties the phone first, for that needs no network; the service is told afterwards.
import { forget } from "./leave.js";

for (const form of document.querySelectorAll("form[action='/sign-out']")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await forget().catch(() => {});
    form.submit();
  });
}
