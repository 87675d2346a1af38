// The points that a search, a time range or a story leaves, on a canvas over the plot, which fades under it.

// Above so many points they are squares of pixels: 240,000 of them take some ten milliseconds, as shapes a hundred times that.
const SHAPES = 4000;

function makeHighlight(canvas, plot, data, view, state) {
  // drawn by the processor: a canvas of the graphics card queues each shape
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const colors = [...COLORS, NOISE_COLOR];
  const hueOf = (row) => (data.labels[row] < 0 ? COLORS.length : data.stories[data.labels[row]].hue);

  // Calls `visit` with each row that is left, in sight, and its place. Where few are left, those in no story come first,
  // under the others.
  function eachPoint(visit) {
    if (state.story >= 0) eachOf(rangeOf(data.stories[state.story]), visit);
    else if (!state.shown) eachOf([0, data.n], visit);
    else [[data.noiseStart, data.n], [0, data.noiseStart]].forEach((rows) => eachOf(rows, visit));
  }

  function eachOf([start, end], visit) {
    const place = [0, 0];
    for (let row = start; row < end; row++) {
      if (!state.visible(row)) continue;
      if (!view.place(data.x[row], data.y[row], data.z && data.z[row], place)) continue;
      const [x, y] = place;
      if (x > -9 && y > -9 && x < view.width + 9 && y < view.height + 9) visit(row, x, y);
    }
  }

  function drawShapes(scale, size) {
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.strokeStyle = getComputedStyle(canvas).getPropertyValue("--paper");
    eachPoint((row, x, y) => {
      context.fillStyle = colors[hueOf(row)];
      context.beginPath();
      context.arc(x, y, size / 2 + 1, 0, 7);
      context.fill();
      context.stroke();
    });
  }

  function drawPixels(scale, size) {
    const { width, height } = canvas;
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    // red in the lowest byte, opacity in the highest
    const packed = colors.map((color) => {
      const [, red, green, blue] = /#(..)(..)(..)/.exec(color).map((part) => parseInt(part, 16));
      return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
    });
    const side = Math.max(1, Math.round(size * scale));
    eachPoint((row, x, y) => {
      const [left, top] = [Math.round(x * scale - side / 2), Math.round(y * scale - side / 2)];
      const [right, bottom] = [Math.min(left + side, width), Math.min(top + side, height)];
      const color = packed[hueOf(row)];
      for (let j = Math.max(top, 0); j < bottom; j++) {
        for (let i = Math.max(left, 0); i < right; i++) pixels[j * width + i] = color;
      }
    });
    context.putImageData(image, 0, 0);
  }

  // `all`: where Plotly does not draw them, or not yet, all points are here.
  return function draw(all = false) {
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(view.width * scale), Math.round(view.height * scale)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const filtered = state.shown !== null || state.story >= 0;
    plot.classList.toggle("faded", filtered);
    canvas.classList.toggle("all", all);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!filtered && !all) return;
    const count = state.story < 0 ? state.count : state.sizeOf(data.stories[state.story]);
    if (count > SHAPES) drawPixels(scale, pointSize(data.n));
    else drawShapes(scale, all ? pointSize(data.n) - 2 : Math.max(pointSize(data.n), count < 400 ? 8 : 5));
  };
}

const rangeOf = (story) => [story.start, story.start + story.size];

function rowsOfStory(story) {
  return Array.from({ length: story.size }, (_, i) => story.start + i);
}
