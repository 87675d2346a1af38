// The names on the map: themes when far, then topics, and as many stories as there is room for, larger ones first. No
// two overlap, none leaves the map, and none is cut: a name that does not fit in five lines is left out.

const [FAR, MIDDLE] = [2, 5];
const MARGIN = 5;
const LINES = 5;
// square pixels of the map for each name
const AREA_PER_NAME = 19000;
const CONSIDERED = 300;

function makeLabels(box, data, view, state, obstacles) {
  const names = namesOf(data);
  const place = [0, 0];
  let shown = new Set();

  function element(name) {
    if (name.node) return;
    name.node = foreign(name.text, "div", { class: `name of-${name.level}` });
    name.node.style.fontSize = `${name.font}px`;
    name.node.style.setProperty("--hue", COLORS[name.hue]);
  }

  function size(name) {
    const { width, height } = name.node.getBoundingClientRect();
    Object.assign(name, { width: width + 2, height: height + 2, fits: height <= LINES * name.font * 1.25 + 4 });
  }

  // Widths and heights of new names, in one pass: each reading of a size after a change costs a layout of the page.
  function measure(wanted) {
    const fresh = wanted.filter((name) => !name.width);
    fresh.forEach(element);
    box.append(...fresh.map((name) => name.node));
    fresh.forEach(size);
    const long = fresh.filter((name) => !name.fits && name.other);
    for (const name of long) name.node.textContent = name.other;
    long.forEach(size);
    for (const name of fresh) name.node.classList.add("off");
  }

  function candidates() {
    const zoom = view.zoom();
    const level = zoom < FAR ? "theme" : zoom < MIDDLE ? "topic" : "";
    const result = [];
    for (const name of names) {
      if (name.level !== "story" && (name.level !== level || (level === "theme" && state.theme >= 0))) continue;
      const size = name.stories.reduce((sum, story) => sum + state.sizeOf(story), 0);
      if (!size || !view.place(...name.at, place)) continue;
      if (place[0] < 0 || place[1] < 0 || place[0] > view.width || place[1] > view.height) continue;
      const chosen = name.level === "story" && name.story.number === state.story;
      // a name that stands on the map stays there while the map moves, unless a much larger one needs its place
      const rank = (chosen ? 1e12 : name.level === "story" ? 1 : 1e6) * size * (shown.has(name) ? 1.5 : 1);
      result.push({ name, x: place[0], y: place[1], rank, chosen });
    }
    result.sort((a, b) => b.rank - a.rank || a.name.order - b.name.order);
    return result.slice(0, CONSIDERED);
  }

  return function draw() {
    const wanted = candidates();
    measure(wanted.map(({ name }) => name));
    const room = Math.max(6, Math.round((view.width * view.height) / AREA_PER_NAME));
    const taken = obstacles();
    const now = new Set();
    for (const { name, x, y, chosen } of wanted) {
      if (now.size >= room) break;
      if (!name.fits) continue;
      const spot = freeSpot(name, x, y, view, taken);
      if (!spot) continue;
      taken.push(spot);
      now.add(name);
      name.box = spot;
      name.node.style.transform = `translate(${Math.round(spot.left)}px, ${Math.round(spot.top)}px)`;
      name.node.classList.toggle("chosen", chosen);
    }
    for (const name of shown) if (!now.has(name)) name.node.classList.add("off");
    for (const name of now) name.node.classList.remove("off");
    shown = now;
    // one of a chosen story stands out
    box.classList.toggle("one", wanted.some(({ name, chosen }) => chosen && now.has(name)));
    draw.at = (px, py) => [...shown].find(({ box: b }) => px >= b.left && px <= b.right && py >= b.top && py <= b.bottom);
  };
}

// Where a name is free, inside the map: a story's just above or below its place, or on it, a theme's on it first. Null where it is not.
function freeSpot(name, x, y, view, taken) {
  const { width, height } = name;
  if (width > view.width - 2 * MARGIN || height > view.height - 2 * MARGIN) return null;
  for (const shift of name.level === "story" ? [-0.8, 0.8, 0] : [0, -0.8, 0.8]) {
    const left = Math.min(Math.max(x - width / 2, MARGIN), view.width - MARGIN - width);
    const top = Math.min(Math.max(y - height / 2 + shift * height, MARGIN), view.height - MARGIN - height);
    const spot = { left, top, right: left + width, bottom: top + height };
    const free = (o) => spot.right + 4 < o.left || spot.left > o.right + 4 || spot.bottom + 2 < o.top || spot.top > o.bottom + 2;
    if (taken.every(free)) return spot;
  }
  return null;
}

function namesOf(data) {
  const middles = data.stories.map((story) => centerOf(data, story));
  const largest = data.stories.reduce((most, story) => Math.max(most, story.size), 1);
  const names = [];
  data.stories.forEach((story) => {
    if (!story.size) return;
    const font = 11.5 + 3 * Math.sqrt(story.size / largest);
    // where a name has too many lines, its keywords stand for it
    const other = unbroken((story.keywords || []).slice(0, 3).join(" · "));
    const [text, at] = [unbroken(story.label || "") || other, middles[story.number]];
    if (text) names.push({ level: "story", story, stories: [story], hue: story.hue, text, other, at, font });
  });
  for (const theme of data.themes) {
    const mine = theme.stories.map((number) => data.stories[number]).filter((story) => story.size);
    if (mine.length < 2) continue;
    const text = unbroken(theme.name);
    const font = theme.level === "theme" ? 12 : 11;
    names.push({ level: theme.level, theme, stories: mine, hue: mine[0].hue, text, at: heartOf(mine, middles), font });
  }
  names.forEach((name, order) => (name.order = order));
  return names;
}

// Keywords of which no line starts with a dot.
const unbroken = (words) => words.replaceAll(" · ", "\u00a0· ");

// The median of a story's points on each axis.
function centerOf(data, story) {
  const rows = rowsOfStory(story);
  return [data.x, data.y, data.z].map((values) => {
    if (!values || !rows.length) return 0;
    return Float32Array.from(rows, (row) => values[row]).sort()[rows.length >> 1];
  });
}

// The center of that story from which all others are least far, by their size: a theme can lie in several places.
function heartOf(stories, middles) {
  const largest = [...stories].sort((a, b) => b.size - a.size).slice(0, 60);
  let best = null;
  for (const story of largest) {
    const here = middles[story.number];
    const cost = largest.reduce((sum, other) => {
      const there = middles[other.number];
      return sum + other.size * Math.hypot(here[0] - there[0], here[1] - there[1], here[2] - there[2]);
    }, 0);
    if (!best || cost < best.cost) best = { cost, here };
  }
  return best.here;
}
