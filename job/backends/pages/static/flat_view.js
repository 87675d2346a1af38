// The map in two dimensions: where a point is on the screen, and how to move there.

// of the points' places, which go from 0 to 1; below is room for the buttons
const [HOME_X, HOME_Y] = [[-0.05, 1.05], [-0.1, 1.05]];
// of what the screen shows
const LARGEST = 4;

function flatView(plot, data) {
  const view = { flat: true, width: 1, height: 1, x0: HOME_X[0], x1: HOME_X[1], y0: HOME_Y[0], y1: HOME_Y[1] };
  // a point of a large map is found when a story of a few points fills a part of the screen
  const smallest = data.n > 50000 ? 0.004 : 0.02;

  view.layout = () => {
    const axis = { visible: false, showspikes: false, range: HOME_X.slice() };
    return { xaxis: axis, yaxis: { ...axis, range: HOME_Y.slice() }, spikedistance: 0 };
  };
  view.trace = (rows) => ({ type: "scattergl", x: data.x.subarray(...rows), y: data.y.subarray(...rows) });
  view.refresh = () => {
    if (plot._fullLayout) {
      const { xaxis, yaxis } = plot._fullLayout;
      [view.x0, view.x1] = xaxis.range;
      [view.y0, view.y1] = yaxis.range;
    }
    view.width = plot.clientWidth;
    view.height = plot.clientHeight;
  };
  view.place = (x, y, z, to) => {
    to[0] = ((x - view.x0) / (view.x1 - view.x0)) * view.width;
    to[1] = ((view.y1 - y) / (view.y1 - view.y0)) * view.height;
    return true;
  };
  view.zoom = () => (HOME_X[1] - HOME_X[0]) / (view.x1 - view.x0);

  const go = (x0, x1, y0, y1) => Plotly.relayout(plot, { "xaxis.range": [x0, x1], "yaxis.range": [y0, y1] });
  view.home = () => go(...HOME_X, ...HOME_Y);
  // around the place (px, py) of the screen, which stays there, or around its middle
  view.zoomBy = (factor, px, py) => {
    view.refresh();
    const [right, down] = [(px ?? view.width / 2) / view.width, (py ?? view.height / 2) / view.height];
    const [width, height] = [view.x1 - view.x0, view.y1 - view.y0];
    const [w, h] = [width, height].map((span) => Math.min(Math.max(span / factor, smallest), LARGEST));
    const [x0, y1] = [view.x0 + right * (width - w), view.y1 - down * (height - h)];
    return go(x0, x0 + w, y1 - h, y1);
  };
  // whether the map cannot be zoomed further in, or out
  view.ends = (inward) => (inward ? view.x1 - view.x0 <= smallest : view.x1 - view.x0 >= LARGEST);
  view.panBy = (right, up) => {
    view.refresh();
    const [dx, dy] = [(view.x1 - view.x0) * right, (view.y1 - view.y0) * up];
    return go(view.x0 + dx, view.x1 + dx, view.y0 + dy, view.y1 + dy);
  };
  // a range around points, as far out as their outliers allow: nine in ten of them in the middle of the screen
  view.flyTo = (rows) => {
    const [left, right] = middle(data.x, rows);
    const [low, high] = middle(data.y, rows);
    const span = Math.min(Math.max(right - left, high - low, smallest) * 1.9, 1.1);
    const [x, y] = [(left + right) / 2, (low + high) / 2];
    return go(x - span / 2, x + span / 2, y - span / 2, y + span / 2);
  };
  return view;
}

// The range that holds the middle nine tenths of some rows' values.
function middle(values, rows) {
  const sorted = Float32Array.from(rows, (row) => values[row]).sort();
  const cut = Math.floor(sorted.length / 20);
  return [sorted[cut], sorted[sorted.length - 1 - cut]];
}
