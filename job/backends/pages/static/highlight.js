// The points that a search, a time range or a story leaves, on a canvas over the plot, which fades under it.

function makeHighlight(canvas, plot, data, view, state) {
  const context = canvas.getContext("2d");
  const place = [0, 0];

  function rowsOf(visit) {
    const { shown, story } = state;
    const [start, end] = story < 0 ? [0, data.n] : rangeOf(data.stories[story]);
    for (let row = start; row < end; row++) if (!shown || shown[row]) visit(row);
  }

  function draw() {
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(view.width * scale), Math.round(view.height * scale)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const filtered = state.shown !== null || state.story >= 0;
    plot.classList.toggle("faded", filtered);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, view.width, view.height);
    if (!filtered) return;
    const count = state.story < 0 ? state.count : state.sizeOf(data.stories[state.story]);
    const size = Math.max(pointSize(data.n), count < 400 ? 8 : count < 4000 ? 5 : 3);
    const hues = [...COLORS, NOISE_COLOR];
    let hue = -1;
    context.strokeStyle = getComputedStyle(canvas).getPropertyValue("--paper");
    rowsOf((row) => {
      if (!view.place(data.x[row], data.y[row], data.z && data.z[row], place)) return;
      const [x, y] = place;
      if (x < -9 || y < -9 || x > view.width + 9 || y > view.height + 9) return;
      const now = data.labels[row] < 0 ? COLORS.length : data.stories[data.labels[row]].hue;
      if (now !== hue) context.fillStyle = hues[(hue = now)];
      if (count > 4000) {
        context.fillRect(x - size / 2, y - size / 2, size, size);
        return;
      }
      context.beginPath();
      context.arc(x, y, size / 2 + 1, 0, 7);
      context.fill();
      context.stroke();
    });
  }
  return draw;
}

const rangeOf = (story) => [story.start, story.start + story.size];

function rowsOfStory(story) {
  return Array.from({ length: story.size }, (_, i) => story.start + i);
}
