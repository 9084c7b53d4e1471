// Draws tables as bars: each figure names the table that it is a picture of.

const { echarts } = window;
const charts = [];

/** A table's rows as bars: one for each column whose head is a series. */
function optionOf(table) {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--pico-color").trim();
  const faint = style.getPropertyValue("--pico-muted-border-color").trim();
  const colours = ["--chart-before", "--chart-after"].map((name) => style.getPropertyValue(name).trim());
  const [less, more] = ["--chart-less", "--chart-more"].map((name) => style.getPropertyValue(name).trim());
  const heads = [...table.querySelectorAll("thead [data-series]")];
  const names = heads.map((head) => head.textContent);
  const rows = [...table.querySelectorAll("tbody tr")];
  const isMoney = heads.some((head) => "money" in head.dataset);
  const colourOf = (row, place) => {
    const side = Number(row.dataset.side);
    return Number.isNaN(side) ? colours[place] : side < 0 ? less : side > 0 ? more : faint;
  };
  return {
    animation: false,
    textStyle: { color: ink, fontFamily: "inherit" },
    legend: names.length > 1 ? { textStyle: { color: ink }, top: 0 } : undefined,
    tooltip: { trigger: "axis", renderMode: "richText", axisPointer: { type: "shadow" } },
    grid: { left: 8, right: 8, top: names.length > 1 ? 36 : 12, bottom: 8, containLabel: true },
    xAxis: {
      type: "category", data: rows.map((row) => row.querySelector("th").textContent),
      axisLabel: { color: ink, rotate: 55, interval: "auto", fontSize: 11 }, axisLine: { lineStyle: { color: faint } },
    },
    yAxis: { type: "value", minInterval: 1, axisLabel: { color: ink }, splitLine: { lineStyle: { color: faint } } },
    series: names.map((name, place) => ({
      name, type: "bar", itemStyle: { color: colours[place] },
      data: rows.map((row) => {
        const value = Number(row.querySelectorAll("[data-value]")[place].dataset.value);
        return { value: isMoney ? value / 100 : value, itemStyle: { color: colourOf(row, place) } };
      }),
    })),
  };
}

function draw() {
  for (const [chart, table] of charts) {
    chart.setOption(optionOf(table), true);
    chart.resize();
  }
}

if (echarts) {
  for (const figure of document.querySelectorAll("figure.chart")) {
    charts.push([echarts.init(figure, null, { renderer: "canvas" }), document.getElementById(figure.dataset.of)]);
  }
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", draw);
}
