// The points, drawn by Plotly: one trace per hue and one for the noise. A trace of one color is drawn three times as fast
// as one with a color per point. Nothing restyles a trace later, except the noise switch.

const COLORS = ["#4a7db5", "#d9822b", "#4f9a54", "#cf5a5e", "#8d6fb8", "#3c9c9c", "#b58b2a", "#c2679c", "#7a8f3c", "#92705a"];
const NOISE_COLOR = "#8f949c";

const pointSize = (n) => (n < 1500 ? 8 : n < 8000 ? 6 : n < 40000 ? 4.5 : 3);

function hasWebGL() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
}

// Without WebGL, points of three dimensions are shown by two of them.
const viewOf = (plot, data, webgl) => (data.z && data.n && webgl ? spaceView(plot, data) : flatView(plot, data));

// Plotly lies in the page as text, because reading it takes a second: the first picture stands before it runs.
function runPlotly() {
  const text = byId("plotly");
  const script = document.createElement("script");
  script.textContent = text.textContent;
  text.remove();
  document.head.append(script);
}

// Draws the points; `moved` is called whenever the view changes. Without WebGL Plotly draws none, and only moves the view.
async function drawCloud(plot, data, view, webgl, moved) {
  const size = pointSize(data.n) * (view.flat ? 1 : 0.5);
  const traces = [];
  let start = 0;
  data.about.hues.forEach((count, hue) => {
    const noise = hue === COLORS.length;
    const marker = { color: noise ? NOISE_COLOR : COLORS[hue], size: noise ? size * 0.75 : size };
    marker.opacity = noise ? 0.4 : data.n < 8000 ? 0.8 : 0.65;
    marker.line = { width: 0 };
    if (count && webgl) traces.push({ ...view.trace([start, start + count]), mode: "markers", marker, hoverinfo: "skip" });
    start += count;
  });
  const layout = {
    ...view.layout(),
    margin: { l: 0, r: 0, t: 0, b: 0 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    dragmode: view.flat ? "pan" : "orbit",
    // the page finds the point under the pointer by itself
    hovermode: false,
    showlegend: false,
    uirevision: "map",
  };
  const config = {
    scrollZoom: true,
    doubleClick: false,
    showTips: false,
    // no button of Plotly's: some of them upload the data
    displayModeBar: false,
    showSendToCloud: false,
    showEditInChartStudio: false,
    plotlyServerURL: "",
  };
  await Plotly.newPlot(plot, traces, layout, config);
  const frame = oncePerFrame(moved);
  for (const event of ["plotly_relayouting", "plotly_relayout", "plotly_afterplot"]) plot.on(event, frame);
  if (view.watch) view.watch(frame);
  // Plotly looks at the window's size alone
  const resize = oncePerFrame(() => {
    const { width, height } = plot._fullLayout;
    if (width !== plot.clientWidth || height !== plot.clientHeight) Plotly.Plots.resize(plot);
  });
  new ResizeObserver(resize).observe(plot);
  view.showNoise = (on) => (data.about.noise && webgl ? Plotly.restyle(plot, { visible: on }, [traces.length - 1]) : null);
}
