// An order inside WeChat: who pays is asked at once, then the app's own sheet opens; the button opens it again.
// The page tells what became of it: the channel's word counts, not the sheet's.
const button = () => document.getElementById("in-app");

function whenReady(then) {
  if (window.WeixinJSBridge) then();
  else document.addEventListener("WeixinJSBridgeReady", then, { once: true });
}

function openSheet() {
  const order = button()?.dataset.sheet;
  if (!order) return;
  window.WeixinJSBridge.invoke("getBrandWCPayRequest", JSON.parse(order), (answer) => {
    const failed = document.getElementById("in-app-failed");
    if (failed) failed.hidden = !String(answer?.err_msg).endsWith(":fail");
  });
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("#in-app[data-sheet]")) return;
  event.preventDefault();
  whenReady(openSheet);
});

if (button()?.dataset.sheet) whenReady(openSheet);
else if (button() && "asksItself" in button().dataset) location.replace(button().href);
