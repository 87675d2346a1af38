// The report's figure: rows over time, all of them as bars and the largest stories as lines. The data are plain text.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("figures").textContent);
  const place = document.getElementById("over-time");
  if (!place || !data.times) return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colors = ["#1d6fb8", "#d1495b", "#2e8b57", "#b8860b", "#7b5ea7"];
  // Plotly reads a few tags in names: what is left of a title must not be one
  const name = (text) => text.replace(/</g, "‹").replace(/>/g, "›");

  function draw() {
    const ink = dark.matches ? "#eceef0" : "#17191c";
    const grid = dark.matches ? "#2c3035" : "#e3e4df";
    const all = { type: "bar", x: data.times, y: data.all, name: "all rows", marker: { color: dark.matches ? "#4a5058" : "#cfd3d6" } };
    const lines = data.stories.map((story, i) => ({
      type: "scatter", mode: "lines", x: data.times, y: story.counts, name: name(story.name),
      line: { color: colors[i], width: 2 }, yaxis: "y2",
    }));
    const layout = {
      height: 340, margin: { l: 44, r: 44, t: 10, b: 36 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: { color: ink, size: 12 }, bargap: 0.1, hovermode: "x unified",
      xaxis: { gridcolor: grid, fixedrange: true }, legend: { orientation: "h", y: -0.14 },
      yaxis: { gridcolor: grid, fixedrange: true, rangemode: "tozero", tickformat: ",d", nticks: 5, automargin: true, title: { text: "all rows", standoff: 8 } },
      yaxis2: { overlaying: "y", side: "right", fixedrange: true, rangemode: "tozero", showgrid: false, tickmode: "auto", tickformat: ",d", nticks: 5, automargin: true, title: { text: "a story", standoff: 8 } },
    };
    Plotly.react(place, [all, ...lines], layout, { displayModeBar: false, responsive: true });
  }
  draw();
  dark.addEventListener("change", draw);
  addEventListener("beforeprint", () => Plotly.Plots.resize(place));
})();
