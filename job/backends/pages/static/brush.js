// Headlines over time, those that are left of a search, a theme or a story before all of them, and a range of it that a
// drag or the arrow keys choose. Returns a function that chooses what lies from one second to another (NaN: no end), and
// says whether there is such a range; where there is none, it chooses all times.

const HEIGHT = 46;

function makeBrush({ data, state }) {
  const { bins } = data.about;
  if (!bins || bins.count < 2 || !data.seconds) return () => false;
  const box = byId("brush");
  box.hidden = false;
  const { start, width, count } = bins;
  const chart = svg("svg", { viewBox: `0 0 ${count} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const [bars, leftBars] = [makeBars(chart, count, "all"), makeBars(chart, count, "left")];
  const countsOf = (first, end, isLeft) => {
    const counts = new Float64Array(count);
    for (let row = first; row < end; row++) {
      const bin = Math.floor((data.seconds[row] - start) / width);
      if (bin >= 0 && bin < count && isLeft(row)) counts[bin]++;
    }
    return counts;
  };
  setHeights(bars, countsOf(0, data.n, () => true));
  state.onChange(
    oncePerFrame(() => {
      const story = data.stories[state.story];
      const some = Boolean(story || state.hits || state.theme >= 0);
      chart.classList.toggle("some", some);
      const rows = story ? rangeOf(story) : [0, data.n];
      if (some) setHeights(leftBars, countsOf(...rows, state.visible));
    }),
  );
  const window_ = el("div", { class: "window", hidden: "" });
  const text = el("p", { class: "meta", role: "status" });
  const clear = el("button", { type: "button", hidden: "", click: () => choose(null) }, "All times");
  const ends = ["first", "last"].map((end, i) =>
    el("div", { class: `handle ${end}`, role: "slider", tabindex: "0", "aria-label": `${i ? "End" : "Start"} of the time range`, "aria-valuemin": 0, "aria-valuemax": count }),
  );
  const track = el("div", { class: "track" }, chart, window_, ...ends);
  box.append(track, el("div", { class: "ends" }, text, clear));

  // where there are days only, the end is the last of them
  const endText = (bin, i) => timeText(data, start + bin * width - (data.daysOnly ? i : 0));

  let chosen = null;
  // a bin ends one instant before the next one begins
  const apply = () => state.change({ range: chosen && [start + chosen[0] * width, start + chosen[1] * width - 1e-6] });
  const applySoon = oncePerFrame(apply);

  function choose(range) {
    show(range);
    applySoon();
  }

  function show(range) {
    chosen = range && range[1] - range[0] < count ? range : null;
    const [first, last] = chosen || [0, count];
    const percent = (bin) => `${(100 * bin) / count}%`;
    bars.forEach((bar, i) => bar.classList.toggle("out", i < first || i >= last));
    window_.hidden = clear.hidden = !chosen;
    Object.assign(window_.style, { left: percent(first), width: percent(last - first) });
    [first, last].forEach((bin, i) => {
      ends[i].style.left = percent(bin);
      ends[i].setAttribute("aria-valuenow", bin);
      ends[i].setAttribute("aria-valuetext", endText(bin, i));
    });
    text.textContent = `${endText(first, 0).replace(" UTC", "")} – ${endText(last, 1)}`;
  }

  const at = (event) => {
    const { left, width: pixels } = track.getBoundingClientRect();
    return Math.min(count, Math.max(0, ((event.clientX - left) / pixels) * count));
  };
  watchDrags(track, at, () => chosen || [0, count], choose, count);
  ends.forEach((end, i) =>
    end.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5, Home: -count, End: count }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      const range = (chosen || [0, count]).slice();
      range[i] = i ? Math.min(count, Math.max(range[0] + 1, range[1] + step)) : Math.max(0, Math.min(range[1] - 1, range[0] + step));
      choose(range);
    }),
  );
  show(null);
  return (from, to) => {
    // all bins that the range touches: a map of another run has others. An address has whole milliseconds
    const first = Number.isNaN(from) ? 0 : Math.floor((from + 0.001 - start) / width);
    const last = Number.isNaN(to) ? count : Math.max(first + 1, Math.ceil((to - 0.001 - start) / width));
    const found = !(from > to) && first < count && last > 0;
    show(found ? [Math.max(0, first), Math.min(count, last)] : null);
    if (chosen || state.range) apply();
    return found;
  };
}

const makeBars = (chart, count, kind) =>
  Array.from({ length: count }, (_, i) => chart.appendChild(svg("rect", { class: kind, x: i + 0.06, width: 0.88 })));

// The highest bar fills the height, so that few headlines are seen as well as many.
function setHeights(bars, counts) {
  const largest = Math.max(1, ...counts);
  bars.forEach((bar, i) => {
    const height = counts[i] ? Math.max(1, (counts[i] / largest) * (HEIGHT - 2)) : 0;
    bar.setAttribute("y", HEIGHT - height);
    bar.setAttribute("height", height);
  });
}

// A drag makes a range, moves one that it starts in, or moves an end that it starts on; a click beside the ends clears it.
function watchDrags(track, at, current, choose, count) {
  let drag = null;
  track.addEventListener("pointerdown", (event) => {
    track.setPointerCapture(event.pointerId);
    const [first, last] = current();
    const from = at(event);
    const near = (12 / track.clientWidth) * count;
    const whole = last - first >= count;
    const handle = event.target.closest(".handle");
    let kind = "new";
    if (handle) kind = handle.classList.contains("first") ? "first" : "last";
    else if (!whole && Math.abs(from - first) < near) kind = "first";
    else if (!whole && Math.abs(from - last) < near) kind = "last";
    else if (!whole && from > first && from < last) kind = "move";
    drag = { kind, from, first, last, moved: false };
  });
  track.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const { kind, from, first, last } = drag;
    const now = at(event);
    if (!drag.moved && Math.abs(now - from) * track.clientWidth < 3 * count) return;
    drag.moved = true;
    if (kind === "move") {
      const by = Math.round(Math.min(Math.max(now - from, -first), count - last));
      choose([first + by, last + by]);
      return;
    }
    const other = kind === "first" ? last : kind === "last" ? first : from;
    const [low, high] = [Math.floor(Math.min(now, other)), Math.ceil(Math.max(now, other))];
    choose([low, Math.max(high, low + 1)]);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    track.addEventListener(end, () => {
      if (drag && !drag.moved && (drag.kind === "new" || drag.kind === "move")) choose(null);
      drag = null;
    });
  }
}
