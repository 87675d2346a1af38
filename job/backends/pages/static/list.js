// The list of stories: largest, newest or growing first; those that a search or a time range leaves.

const PAGE = 60;
const SORTS = {
  largest: { label: "Largest", of: (story, state) => state.sizeOf(story) },
  newest: { label: "Newest", of: (story) => story.last },
  // those that are called growing first
  growing: {
    label: "Growing",
    of: (story) => (Number.isFinite(story.growth) ? story.growth + (story.growing ? 1e6 : 0) : NaN),
    note: "Growing: still reported at the end, with clearly more late rows than stories have on average.",
  },
};

function makeList({ data, state, open, find }, ready) {
  const [list, sorts] = [byId("list"), byId("sorts")];
  const added = rove(list);
  let [sort, items, drawn] = ["largest", [], 0];

  for (const [key, { label, of }] of Object.entries(SORTS)) {
    if (key !== "largest" && !data.stories.some((story) => Number.isFinite(of(story)))) continue;
    const button = el("button", { type: "button", "aria-pressed": String(key === sort), click: () => choose(key) }, label);
    button.dataset.sort = key;
    sorts.append(button);
  }
  sorts.hidden = sorts.children.length < 2;

  function choose(key) {
    sort = key;
    for (const button of sorts.children) button.setAttribute("aria-pressed", button.dataset.sort === key);
    draw();
  }

  function draw() {
    const value = (story) => finite(SORTS[sort].of(story, state));
    const stories = data.stories.filter((story) => state.sizeOf(story) > 0);
    stories.sort((a, b) => value(b) - value(a) || state.sizeOf(b) - state.sizeOf(a) || a.number - b.number);
    items = [...stories.map((story) => () => storyItem(data, state, story, open)), ...loneItems(data, state, find)];
    drawn = 0;
    list.replaceChildren();
    list.scrollTop = 0;
    if (SORTS[sort].note) list.append(el("li", { class: "meta note" }, SORTS[sort].note));
    more();
    if (!items.length) list.append(el("li", { class: "none" }, emptyText(state)));
  }

  function more() {
    list.append(...items.slice(drawn, drawn + PAGE).map((item) => item()));
    drawn += PAGE;
    added();
  }
  list.addEventListener("scroll", () => {
    if (drawn < items.length && list.scrollTop + list.clientHeight > list.scrollHeight - 600) more();
  });
  state.onChange((changes) => ("hits" in changes || "range" in changes || "noise" in changes) && draw());
  draw();
  // headlines in no story have no text before
  ready.then(() => state.shown && draw());
}

function emptyText({ shown, count }) {
  if (!shown) return "There are no stories";
  return count ? "This page has no text for what is left" : "No headline is left";
}

const finite = (value) => (Number.isFinite(value) ? value : -Infinity);

function storyItem(data, state, story, open) {
  const size = state.sizeOf(story);
  // what is known of a whole story does not hold for the part of it that a search or a time range leaves
  const whole = size === story.size;
  const facts = [whole ? counted(size, "headline") : `${number(size)} of ${counted(story.size, "headline")}`];
  if (whole && story.sources) facts.push(counted(story.sources, "source"));
  const when = whole && daysOf(data, story);
  if (when) facts.push(when);
  const growth = story.growing ? [" ", el("span", { class: "growth" }, "growing")] : [];
  const text = el(
    "span",
    { class: "about" },
    foreign(shortName(story), "span", { class: "story-name" }),
    el("span", { class: "meta" }, facts.join(" · "), ...growth),
  );
  const dot = el("span", { class: "dot", "aria-hidden": "true" });
  dot.style.background = COLORS[story.hue];
  const line = whole && story.counts && story.counts.length > 1 ? [sparkline(story.counts, 64, 26)] : [];
  const button = el("button", { type: "button", class: "story", tabindex: -1, click: () => open(story.number, true) }, dot, text, ...line);
  button.dataset.story = story.number;
  return el("li", {}, button);
}

// Headlines in no story that a search or a time range leaves: at most 200, below the stories.
function loneItems(data, state, find) {
  if (!state.shown || !state.noise) return [];
  const rows = [];
  for (let row = data.noiseStart; row < data.n && rows.length < 200; row++) {
    if (state.shown[row] && titleOf(data, row) !== null) rows.push(row);
  }
  const heading = rows.length ? [() => el("li", { class: "heading" }, "In no story")] : [];
  return [...heading, ...rows.map((row) => () => el("li", {}, headlineButton(data, row, find)))];
}

function headlineButton(data, row, find) {
  const title = titleOf(data, row);
  const text = title === null ? el("span", { class: "none" }, missingText(data)) : foreign(title, "span", { class: "headline" });
  return el("button", { type: "button", class: "row", tabindex: -1, click: () => find(row) }, text, factsOf(data, row));
}
