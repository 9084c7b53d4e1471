// An order inside WeChat: on the way from our form who pays is asked at once, and then the app's own sheet opens; the
// button does the same by hand. The page tells what became of it: the channel's word counts, not the sheet's.
const WAITED_FOR_MS = 3000;
const button = () => document.getElementById("in-app");
const words = () => document.getElementById("in-app-failed");
const bridge = new Promise((found) => {
  if (window.WeixinJSBridge) found();
  else document.addEventListener("WeixinJSBridgeReady", found, { once: true });
});
let hasFailed = Boolean(words() && !words().hidden);
let isWaiting = false;

function tell(failed) {
  hasFailed = failed;
  if (words()) words().hidden = !failed;
}

function openSheet() {
  const order = button()?.dataset.sheet;
  if (!order || isWaiting) return;
  isWaiting = true;
  const late = setTimeout(() => tell(true), WAITED_FOR_MS);
  bridge.then(() => {
    isWaiting = false;
    clearTimeout(late);
    tell(false);
    window.WeixinJSBridge.invoke("getBrandWCPayRequest", JSON.parse(order), (answer) => {
      tell(!/:(ok|cancel)$/.test(String(answer?.err_msg)));
    });
  });
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("#in-app[data-sheet]")) return;
  event.preventDefault();
  openSheet();
});
document.addEventListener("htmx:finally:request", () => tell(hasFailed)); // the page has asked, and was written anew

if (button() && "atOnce" in button().dataset) {
  history.replaceState(null, "", location.pathname); // whoever is sent this address has not asked to pay
  if (button().dataset.sheet) openSheet();
  else location.replace(button().href);
}
