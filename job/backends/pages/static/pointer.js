// What the pointer does on the map: hover, click, double click, and two fingers. Dragging and the wheel are Plotly's.

const CLICK_PIXELS = 5;

function watchPointer(parts) {
  const { map, plot, view } = parts;
  const tip = makeTooltip(parts);
  let at = null;
  let pressed = null;

  const point = (event) => {
    const box = map.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const onTools = (event) => event.target instanceof Element && event.target.closest("#tools") !== null;
  const look = oncePerFrame(() => {
    if (!at || pressed) return tip.hide();
    const name = parts.labels.at && parts.labels.at(...at);
    const row = name ? -1 : parts.nearest(...at, 12);
    map.classList.toggle("on-point", row >= 0 || Boolean(name && name.story));
    if (row < 0) tip.hide();
    else tip.show(row, ...at);
  });
  map.addEventListener("pointermove", (event) => {
    at = event.pointerType === "touch" || onTools(event) ? null : point(event);
    look();
  });
  map.addEventListener("pointerleave", () => {
    at = null;
    look();
  });
  map.addEventListener("pointerdown", (event) => (pressed = onTools(event) ? null : point(event)), true);
  window.addEventListener("pointercancel", () => (pressed = null), true);
  window.addEventListener("pointerup", (event) => {
    const [start, end] = [pressed, point(event)];
    pressed = null;
    if (!start || Math.hypot(start[0] - end[0], start[1] - end[1]) > CLICK_PIXELS) return;
    click(parts, tip, end, event.pointerType === "touch" ? 22 : 12);
  }, true);
  map.addEventListener("dblclick", (event) => {
    if (!onTools(event)) view.zoomBy(2);
  });
  if (view.flat) watchPinch(map, plot);
  return tip;
}

function click(parts, tip, [x, y], radius) {
  const name = parts.labels.at && parts.labels.at(x, y);
  if (name && name.story) return parts.open(name.story.number, false);
  if (name) return parts.view.flyTo(rowsOfTheme(parts.data, name.theme));
  const row = parts.nearest(x, y, radius);
  if (row < 0) {
    tip.hide();
    if (parts.state.story >= 0) parts.close();
    return null;
  }
  tip.show(row, x, y);
  return parts.data.labels[row] >= 0 ? parts.open(parts.data.labels[row], false) : null;
}

function rowsOfTheme(data, theme) {
  return theme.stories.flatMap((story) => rowsOfStory(data.stories[story]));
}

// Two fingers zoom: Plotly knows only the wheel, so each change of their distance becomes a turn of it.
function watchPinch(map, plot) {
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
    const deltaY = -200 * Math.log(now / distance);
    distance = now;
    const layer = plot.querySelector(".nsewdrag");
    layer.dispatchEvent(new WheelEvent("wheel", { ...middle, deltaY, bubbles: true, cancelable: true }));
  }, settings);
  window.addEventListener("touchend", (event) => {
    if (event.touches.length < 2) distance = 0;
  }, settings);
}

// The box with a headline's text, beside its point, inside the map.
function makeTooltip({ map, data, view }) {
  const [box, ring] = [byId("tooltip"), byId("ring")];
  const place = [0, 0];
  let current = -1;
  const hide = () => {
    box.hidden = ring.hidden = true;
    current = -1;
  };
  function show(row) {
    view.place(data.x[row], data.y[row], data.z && data.z[row], place);
    const [x, y] = place;
    ring.style.transform = `translate(${x}px, ${y}px)`;
    if (row !== current) {
      box.replaceChildren(...tooltipOf(data, row));
      box.hidden = ring.hidden = false;
      current = row;
    }
    const { offsetWidth: width, offsetHeight: height } = box;
    const left = x + 14 + width > map.clientWidth ? x - 14 - width : x + 14;
    const top = Math.min(Math.max(y - height / 2, 6), map.clientHeight - height - 6);
    box.style.transform = `translate(${Math.max(6, Math.min(left, map.clientWidth - width - 6))}px, ${top}px)`;
  }
  return { show, hide, moved: () => current >= 0 && show(current) };
}

function tooltipOf(data, row) {
  const title = titleOf(data, row);
  const parts = [title === null ? el("p", { class: "none" }, missingText(data)) : foreign(title, "p", { class: "headline" })];
  const description = descriptionOf(data, row);
  if (description) parts.push(foreign(description, "p", { class: "description" }));
  parts.push(factsOf(data, row));
  const name = nameOf(data, row);
  parts.push(el("p", { class: "of" }, name ? foreign(name) : "In no story"));
  return parts;
}

const missingText = (data) => (data.titles ? "This page has no text for this headline" : "Texts are being unpacked");

// Source, time and copies of a headline.
function factsOf(data, row) {
  const parts = [];
  if (sourceOf(data, row)) parts.push(foreign(sourceOf(data, row)));
  const time = timeText(data, timeOf(data, row));
  if (time) parts.push(el("time", { datetime: new Date(timeOf(data, row) * 1000).toISOString() }, time));
  if (data.copies && data.copies[row] > 1) parts.push(`${number(data.copies[row])} copies`);
  return el("p", { class: "meta" }, ...separated(parts));
}

const separated = (parts) => parts.flatMap((part, i) => (i ? [" · ", part] : [part]));
