// Draws the tables of a what-if as charts, and shows the result as soon as it is there.

import "./table_chart.js";

document.body.addEventListener("htmx:after:swap", () => {
  if (document.querySelector("#progress[data-ended]")) location.reload();
});
