// The report's figure: rows over time, all of them as bars and the largest stories as lines. The data are plain text.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("figures").textContent);
  const place = document.getElementById("over-time");
  if (!place || !data.times) return;
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const colors = ["#1d6fb8", "#d1495b", "#2e8b57", "#b8860b", "#7b5ea7"];
  // Plotly reads a few tags in names: what is left of a title must not be one
  const name = (text) => text.replace(/</g, "‹").replace(/>/g, "›");
  const largest = (lists) => Math.max(0, ...lists.flat());

  // Ticks at whole numbers, each once.
  const counts = (top, title) => ({
    fixedrange: true, rangemode: "tozero", tickformat: ",d", automargin: true, title: { text: title, standoff: 8 },
    ...(top < 5 ? { dtick: 1 } : { nticks: 5 }),
  });

  function draw(dark) {
    const ink = dark ? "#eceef0" : "#17191c";
    const grid = dark ? "#2c3035" : "#e3e4df";
    const all = {
      type: "bar", x: data.times, y: data.all, name: "all rows", width: 0.9 * data.width * 1000,
      marker: { color: dark ? "#4a5058" : "#cfd3d6" },
      customdata: data.names, hovertemplate: "<b>%{customdata}</b><br>all rows : %{y:,d}<extra></extra>",
    };
    const lines = data.stories.map((story, i) => ({
      type: "scatter", mode: "lines", x: data.times, y: story.counts, name: name(story.name),
      line: { color: colors[i], width: 2 }, yaxis: "y2",
    }));
    const layout = {
      height: 340, margin: { l: 44, r: 44, t: 10, b: 36 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: { color: ink, size: 12 }, hovermode: "x unified", hoverlabel: { bgcolor: dark ? "#16181b" : "#ffffff" },
      // the bars say which time it is: Plotly's own title would be the middle of the bin
      xaxis: { gridcolor: grid, fixedrange: true, unifiedhovertitle: { text: " " } }, legend: { orientation: "h", y: -0.14 },
      yaxis: { ...counts(largest(data.all), "all rows"), gridcolor: grid },
      yaxis2: { ...counts(largest(data.stories.map((story) => story.counts)), "a story"), overlaying: "y", side: "right", showgrid: false },
    };
    Plotly.react(place, [all, ...lines], layout, { displayModeBar: false, responsive: true });
  }
  draw(scheme.matches);
  scheme.addEventListener("change", () => draw(scheme.matches));
  // paper is white
  addEventListener("beforeprint", () => {
    draw(false);
    Plotly.Plots.resize(place);
  });
  addEventListener("afterprint", () => draw(scheme.matches));
})();
