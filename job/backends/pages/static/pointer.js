// What the pointer does on the map: hover, click, double click, and two fingers. Dragging and the wheel are Plotly's.

const CLICK_PIXELS = 5;
const DOUBLE_CLICK_MS = 400;

function watchPointer(parts) {
  const { map, plot, view } = parts;
  const tip = makeTooltip(parts);
  let at = null;
  let pressed = null;
  let last = { time: -1e9, at: [0, 0], story: NOISE, row: NOISE };

  const point = (event) => {
    const box = map.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const onTools = (event) => event.target instanceof Element && event.target.closest("#tools") !== null;
  const look = oncePerFrame(() => {
    if (!at || pressed) return tip.hide();
    const { row, name } = found(parts, ...at, 12);
    map.classList.toggle("on-point", row >= 0 || Boolean(name));
    if (row < 0) tip.hide();
    else tip.show(row);
  });
  // a finger does not hover: it trembles, and leaves when it is lifted, and what it has tapped stays
  map.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    at = onTools(event) ? null : point(event);
    look();
  });
  map.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "touch") return;
    at = null;
    look();
  });
  map.addEventListener("pointerdown", (event) => {
    // other buttons and a second finger are no click
    pressed = event.isPrimary && event.button === 0 && !onTools(event) ? point(event) : null;
  }, true);
  window.addEventListener("pointercancel", () => (pressed = null), true);
  window.addEventListener("pointerup", (event) => {
    const [start, end] = [pressed, point(event)];
    pressed = null;
    if (!start || apart(start, end) > CLICK_PIXELS) return;
    const radius = event.pointerType === "touch" ? 22 : 12;
    const twice = event.timeStamp - last.time < DOUBLE_CLICK_MS && apart(last.at, end) < radius;
    const { story, row } = parts.state;
    if (twice) {
      // a double click zooms: what its first click opened or closed is as before
      if (story !== last.story || row !== last.row) parts.state.change({ story: last.story, row: last.row });
      view.zoomBy(2, ...end);
    } else click(parts, tip, end, radius);
    last = { time: twice ? -1e9 : event.timeStamp, at: end, story, row };
  }, true);
  // Plotly's wheel knows no end
  map.addEventListener("wheel", (event) => {
    if (!view.ends(event.deltaY < 0)) return;
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true, passive: false });
  watchPinch(map, plot, view);
  return tip;
}

const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

// What lies under the pointer: a name, else the nearest point. Names cover up to half of the points, so that a point on
// which the pointer stands goes before the name over it; but not where points cover the name, which would leave no place
// to click it.
function found(parts, x, y, radius) {
  const name = parts.labels.at && parts.labels.at(x, y);
  const size = pointSize(parts.data.n) / 2 + 1;
  const row = name ? parts.nearest(x, y, size) : parts.nearest(x, y, radius);
  if (!name || row < 0) return { row, name };
  let covered = 0;
  parts.inBox(name.box, () => (covered += Math.PI * size * size));
  const loose = covered < (name.box.right - name.box.left) * (name.box.bottom - name.box.top) * 0.5;
  return loose ? { row } : { row: -1, name };
}

function click(parts, tip, [x, y], radius) {
  const { row, name } = found(parts, x, y, radius);
  if (name && name.story) return parts.open(name.story.number, false);
  if (name && name.level === "theme") return parts.openTheme(name.theme.number, false);
  if (name) return parts.view.flyTo(rowsOfTheme(parts.data, name.theme));
  if (row < 0) {
    tip.hide();
    if (parts.state.story >= 0 || parts.state.row >= 0) parts.close();
    return null;
  }
  tip.show(row);
  return parts.open(parts.data.labels[row], false, row);
}

function rowsOfTheme(data, theme) {
  return theme.stories.flatMap((story) => rowsOfStory(data.stories[story]));
}

// Two fingers zoom. In two dimensions Plotly knows only the wheel, so each change of their distance becomes a turn of it;
// in three two fingers would spin the map.
function watchPinch(map, plot, view) {
  let distance = 0;
  const spread = ([a, b]) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  const pinching = (event) => event.touches.length === 2 && map.contains(event.touches[0].target);
  const stop = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  const settings = { capture: true, passive: false };
  window.addEventListener("touchstart", (event) => {
    distance = pinching(event) ? spread(event.touches) : 0;
    if (distance) stop(event);
  }, settings);
  window.addEventListener("touchmove", (event) => {
    if (!distance || event.touches.length !== 2) return;
    stop(event);
    const now = spread(event.touches);
    const [a, b] = event.touches;
    const middle = { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 };
    const factor = now / distance;
    distance = now;
    if (!view.flat) {
      view.zoomBy(factor);
      return;
    }
    const deltaY = -200 * Math.log(factor);
    const layer = plot.querySelector(".nsewdrag");
    layer.dispatchEvent(new WheelEvent("wheel", { ...middle, deltaY, bubbles: true, cancelable: true }));
  }, settings);
  window.addEventListener("touchend", (event) => {
    if (event.touches.length < 2) distance = 0;
  }, settings);
}
