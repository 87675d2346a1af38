// The points in a part of the screen, and the one under the pointer. In two dimensions by a grid over the points, so that
// a move over a blank spot costs nothing; in three by looking at all of them.

function makeNearest(data, view, state) {
  const side = Math.max(1, Math.min(1024, Math.round(Math.sqrt(data.n / 2))));
  const cell = (value) => Math.min(side - 1, Math.max(0, Math.floor(value * side)));
  const place = [0, 0];
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

  // Calls `visit` with each row that is left in this box of the screen, and its place.
  function inBox({ left, top, right, bottom }, visit) {
    const look = (row) => {
      if (!state.visible(row) || !view.place(data.x[row], data.y[row], data.z && data.z[row], place)) return;
      const [x, y] = place;
      if (x >= left && x <= right && y >= top && y <= bottom) visit(row, x, y);
    };
    if (!view.flat) {
      for (let row = 0; row < data.n; row++) look(row);
      return;
    }
    if (!starts) build();
    const [sx, sy] = [(view.x1 - view.x0) / view.width, (view.y1 - view.y0) / view.height];
    const [first, last] = [cell(view.x0 + left * sx), cell(view.x0 + right * sx)];
    for (let j = cell(view.y1 - bottom * sy); j <= cell(view.y1 - top * sy); j++) {
      for (let k = starts[j * side + first]; k < starts[j * side + last + 1]; k++) look(rows[k]);
    }
  }

  function nearest(px, py, radius) {
    let best = -1;
    let least = radius * radius;
    inBox({ left: px - radius, top: py - radius, right: px + radius, bottom: py + radius }, (row, x, y) => {
      const d = (x - px) ** 2 + (y - py) ** 2;
      if (d < least) [best, least] = [row, d];
    });
    return best;
  }
  return { nearest, inBox };
}
