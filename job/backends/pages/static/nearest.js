// The point under the pointer. In two dimensions by a grid over the points, so that a move over a blank spot costs
// nothing; in three by looking at all of them.

function makeNearest(data, view, state) {
  const side = Math.max(1, Math.min(1024, Math.round(Math.sqrt(data.n / 2))));
  const cell = (value) => Math.min(side - 1, Math.max(0, Math.floor(value * side)));
  const place = [0, 0];
  const visible = (row) => (state.shown ? state.shown[row] : state.noise || row < data.noiseStart);
  let starts = null;
  let rows = null;

  function build() {
    starts = new Uint32Array(side * side + 1);
    rows = new Uint32Array(data.n);
    const cellOf = (row) => cell(data.y[row]) * side + cell(data.x[row]);
    for (let row = 0; row < data.n; row++) starts[cellOf(row) + 1]++;
    for (let i = 0; i < side * side; i++) starts[i + 1] += starts[i];
    const next = starts.slice();
    for (let row = 0; row < data.n; row++) rows[next[cellOf(row)]++] = row;
  }

  function flat(px, py, radius) {
    if (!starts) build();
    const [sx, sy] = [(view.x1 - view.x0) / view.width, (view.y1 - view.y0) / view.height];
    const [x, y] = [view.x0 + px * sx, view.y1 - py * sy];
    let best = -1;
    let least = radius * radius;
    for (let j = cell(y - radius * sy); j <= cell(y + radius * sy); j++) {
      const row0 = j * side;
      for (let k = starts[row0 + cell(x - radius * sx)]; k < starts[row0 + cell(x + radius * sx) + 1]; k++) {
        const row = rows[k];
        const [dx, dy] = [(data.x[row] - x) / sx, (data.y[row] - y) / sy];
        const d = dx * dx + dy * dy;
        if (d < least && visible(row)) [best, least] = [row, d];
      }
    }
    return best;
  }

  function deep(px, py, radius) {
    let best = -1;
    let least = radius * radius;
    for (let row = 0; row < data.n; row++) {
      if (!visible(row) || !view.place(data.x[row], data.y[row], data.z[row], place)) continue;
      const d = (place[0] - px) ** 2 + (place[1] - py) ** 2;
      if (d < least) [best, least] = [row, d];
    }
    return best;
  }
  return view.flat ? flat : deep;
}
