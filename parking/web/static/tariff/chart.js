// Draws each price curve of a page: money over hours, a step where the price becomes another.
// The figures stand in tables beside it; without this script nothing is missing but the drawing.

const drawn = new Set();

function inkOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function optionsOf(figure) {
  const { lines } = JSON.parse(figure.dataset.chart), hours = figure.dataset.hours;
  const ink = inkOf("--pico-color"), faint = inkOf("--pico-muted-border-color"), muted = inkOf("--pico-muted-color");
  const colours = lines.length > 1 ? [muted, inkOf("--chart-new")] : [inkOf("--chart-new")];
  return {
    animation: false,
    aria: { enabled: false },
    color: colours,
    textStyle: { color: ink, fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 8, right: 16, top: lines.length > 1 ? 32 : 16, bottom: 4, containLabel: true },
    legend: { show: lines.length > 1, top: 0, textStyle: { color: ink }, icon: "rect", itemHeight: 3 },
    tooltip: { trigger: "axis", renderMode: "richText", axisPointer: { type: "line" }, valueFormatter: (value) => value.toFixed(2) },
    xAxis: { type: "value", min: 0, max: 72, interval: 12, axisLabel: { color: ink, hideOverlap: true, formatter: `{value} ${hours}` }, splitLine: { show: false }, axisLine: { lineStyle: { color: faint } } },
    yAxis: { type: "value", min: 0, axisLabel: { color: ink }, splitLine: { lineStyle: { color: faint } } },
    series: lines.map(({ name, points }, number) => ({
      name, type: "line", step: "end", data: points, symbol: "none",
      lineStyle: { width: 2, type: lines.length > 1 && number === 0 ? "dashed" : "solid" },
    })),
  };
}

export function draw(root = document) {
  for (const chart of drawn) {
    if (chart.getDom().isConnected) continue;
    chart.dispose();
    drawn.delete(chart);
  }
  for (const figure of root.querySelectorAll(".chart")) {
    const chart = globalThis.echarts.init(figure, null, { renderer: "canvas" });
    chart.setOption(optionsOf(figure));
    drawn.add(chart);
  }
}

function redraw() {
  for (const chart of drawn) chart.setOption(optionsOf(chart.getDom()), true);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
draw();
