// Puts the parts together: data, the first picture, Plotly, then texts and what needs them.

async function start() {
  const data = await loadData();
  const { about } = data;
  byId("title").textContent = about.title;
  byId("facts").append(...factList(factsOfMap(data)));
  const webgl = hasWebGL();
  const note = [sampleNote(about), webgl ? "" : withoutWebGL(data)].filter(Boolean).join(" ");
  byId("sample").hidden = !note;
  byId("sample").textContent = note;

  const [map, plot] = [byId("map"), byId("plot")];
  const state = makeState(data);
  const parts = { data, state, map, plot };
  let moved = () => {};
  parts.chooseTimes = makeBrush(parts);
  const view = (parts.view = viewOf(plot, data, webgl));
  Object.assign(parts, makeNearest(data, view, state));
  parts.highlight = makeHighlight(byId("highlight"), plot, data, view, state);
  parts.labels = makeLabels(byId("labels"), data, view, state, () => obstaclesOn(map));
  if (view.flat) {
    view.refresh();
    parts.highlight(true);
    parts.labels();
    byId("loading").hidden = true;
    await painted();
    performance.mark("map-drawn");
  }
  runPlotly();
  await drawCloud(plot, data, view, webgl, () => moved());
  Object.assign(parts, actions(parts));
  const tip = watchPointer(parts);
  moved = () => {
    view.refresh();
    parts.highlight(!webgl);
    parts.labels();
    tip.moved();
  };
  parts.tip = tip;
  state.onChange(oncePerFrame(moved));
  moved();
  byId("loading").remove();

  const ready = painted().then(() => performance.mark("map-live")).then(() => loadTexts(data));
  makeList(parts, ready);
  parts.focusPanel = makePanel(parts, ready);
  parts.ask = watchSearch(parts, ready);
  watchTools(parts);
  watchKeys(parts);
  const read = keepAddress(parts);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", moved);
  await ready;
  await read;
  document.documentElement.dataset.ready = "true";
}

// Fulfilled when what was just changed is on the screen.
const painted = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

function actions(parts) {
  const { data, state, view } = parts;
  const drawer = (on) => {
    byId("page").classList.toggle("sheet-open", on);
    byId("sheet").setAttribute("aria-expanded", on);
  };
  return {
    drawer,
    // `fly`: from the list, also go there; what was clicked on the map is in sight already. `row`: the headline that was
    // clicked
    open: (story, fly, row = NOISE) => {
      state.change({ story, row });
      drawer(true);
      if (fly) parts.focusPanel();
      if (fly && data.stories[story].size) view.flyTo(rowsOfStory(data.stories[story]));
    },
    close: () => state.change({ story: NOISE, row: NOISE }),
    openTheme: (theme, focus) => {
      state.change({ theme, story: NOISE, row: NOISE });
      drawer(true);
      if (focus) parts.focusTheme();
      view.flyTo(rowsOfTheme(data, themeOf(data, theme)));
    },
    closeTheme: () => state.change({ theme: NOISE }),
    home: () => view.home(),
    find: async (row) => {
      await view.flyTo([row]);
      view.refresh();
      if (state.visible(row)) parts.tip.show(row);
    },
  };
}

function watchTools({ data, state, view, home, drawer, tip }) {
  byId("zoom-in").addEventListener("click", () => view.zoomBy(1.8));
  byId("zoom-out").addEventListener("click", () => view.zoomBy(1 / 1.8));
  byId("whole").addEventListener("click", home);
  byId("sheet").addEventListener("click", () => drawer(!byId("page").classList.contains("sheet-open")));
  byId("query").addEventListener("focus", () => tip.hide());
  const noise = byId("noise-switch");
  noise.hidden = !data.about.noise;
  noise.querySelector("span").textContent = `In no story (${number(data.about.noise)})`;
  byId("noise").addEventListener("change", async (event) => {
    state.change({ noise: event.target.checked });
    await view.showNoise(event.target.checked);
  });
}

// What names may not cover.
function obstaclesOn(map) {
  const outer = map.getBoundingClientRect();
  const { left, top, right, bottom } = byId("tools").getBoundingClientRect();
  return [{ left: left - outer.left, top: top - outer.top, right: right - outer.left, bottom: bottom - outer.top }];
}

function factsOfMap({ about, stories }) {
  const facts = [counted(about.points, "headline"), counted(stories.length, "story")];
  if (about.points) facts.push(`${Math.round((100 * about.noise) / about.points)}% in no story`);
  if (about.period) facts.push(period(...about.period));
  return facts.filter(Boolean);
}

function sampleNote(about) {
  if (about.texts < about.points) {
    return `All headlines are points. To keep the file small, ${number(about.texts)} of them have their text here: a sample of every story.`;
  }
  const [links, all] = about.addresses;
  const left = [
    about.descriptions ? "" : "the titles without their descriptions",
    links < all ? `the addresses of ${number(links)} of ${number(all)} articles` : "",
  ].filter(Boolean);
  return left.length ? `To keep the file small, it has ${left.join(", and ")}.` : "";
}

const withoutWebGL = (data) =>
  `This browser has no WebGL, or it is switched off: the map is drawn more slowly${data.z ? ", and in two of its three dimensions" : ""}.`;

start().catch((error) => {
  const text = error instanceof ReferenceError ? "This browser is too old for the map: it needs one of 2023 or later." : `The map could not be drawn: ${error.message}`;
  document.body.prepend(el("p", { class: "notice", role: "alert" }, text));
  throw error;
});
