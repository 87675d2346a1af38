// The box with a headline's text, beside its point, inside the map.

// between a point and its box, and between the box and the map's edge
const [GAP, EDGE] = [14, 6];

function makeTooltip({ map, data, view, state }) {
  const [box, ring] = [byId("tooltip"), byId("ring")];
  const place = [0, 0];
  let current = -1;
  const hide = () => {
    box.hidden = ring.hidden = true;
    current = -1;
  };
  function show(row) {
    const inFront = view.place(data.x[row], data.y[row], data.z && data.z[row], place);
    const [x, y] = place;
    if (!inFront || x < 0 || y < 0 || x > map.clientWidth || y > map.clientHeight) {
      hide();
      return;
    }
    ring.style.transform = `translate(${x}px, ${y}px)`;
    if (row !== current) {
      box.replaceChildren(...tooltipOf(data, row));
      box.hidden = ring.hidden = false;
      current = row;
    }
    box.style.maxHeight = "";
    const { left, top, height } = spotBeside(x, y, box.offsetWidth, box.offsetHeight, map.clientWidth, map.clientHeight);
    box.style.maxHeight = `${height}px`;
    box.style.transform = `translate(${left}px, ${top}px)`;
  }
  // the box of a headline that is left out, or whose story was closed, goes
  state.onChange((changes) => {
    if (current < 0) return;
    const left = "story" in changes && state.row !== current && (state.story < 0 || data.labels[current] !== state.story);
    if (left || !state.visible(current)) hide();
  });
  return { show, hide, isShown: () => current >= 0, moved: () => current >= 0 && show(current) };
}

// Where a box of this size does not cover the point (x, y) of the map: at a side of it, else below or above it, cut to
// the room that is there.
function spotBeside(x, y, width, height, mapWidth, mapHeight) {
  const within = (value, size, all) => Math.max(EDGE, Math.min(value, all - size - EDGE));
  const [right, left] = [x + GAP, x - GAP - width];
  if (right + width <= mapWidth || left >= 0) {
    return { left: right + width <= mapWidth ? right : left, top: within(y - height / 2, height, mapHeight), height };
  }
  const below = mapHeight - y > y;
  const room = Math.min(height, (below ? mapHeight - y : y) - GAP - EDGE);
  return { left: within(x - width / 2, width, mapWidth), top: below ? y + GAP : y - GAP - room, height: room };
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
