// The list: stories, largest, newest or growing first, or the themes that they are in; what a search, a time range or a
// theme leaves of them.

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
const THEMES = "themes";

function makeList(parts, ready) {
  const { data, state } = parts;
  const [list, sorts] = [byId("list"), byId("sorts")];
  const added = rove(list);
  let [sort, before, items, drawn] = ["largest", "largest", [], 0];

  const tab = (key, label) => {
    const button = el("button", { type: "button", "aria-pressed": String(key === sort), click: () => choose(key) }, label);
    button.dataset.sort = key;
    sorts.append(button);
  };
  for (const [key, { label, of }] of Object.entries(SORTS)) {
    if (key === "largest" || data.stories.some((story) => Number.isFinite(of(story)))) tab(key, label);
  }
  if (data.themes.some((theme) => theme.level === "theme" && theme.stories.length)) tab(THEMES, "Themes");
  sorts.hidden = sorts.children.length < 2;

  function choose(key) {
    sort = key;
    for (const button of sorts.children) {
      button.setAttribute("aria-pressed", button.dataset.sort === key);
      // within a theme there are its stories alone
      button.hidden = button.dataset.sort === THEMES && state.theme >= 0;
    }
    draw();
  }

  function draw() {
    list.setAttribute("aria-label", sort === THEMES ? "Themes" : "Stories");
    items = sort === THEMES ? themeItems(parts) : [...storyItems(parts, SORTS[sort]), ...loneItems(parts)];
    drawn = 0;
    list.replaceChildren();
    list.scrollTop = 0;
    if (SORTS[sort]?.note) list.append(el("li", { class: "meta note" }, SORTS[sort].note));
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
  const back = makeThemeHead(parts);
  let theme = NOISE;
  state.onChange((changes) => {
    if (state.theme !== theme) {
      // a theme opens with its largest stories, and closes where it was opened
      if (theme < 0) before = sort;
      back.textContent = before === THEMES ? "All themes" : "All stories";
      choose(state.theme < 0 ? before : sort === THEMES ? "largest" : sort);
      if (state.theme < 0 && parts.themeHadFocus) list.querySelector(`[data-theme="${theme}"]`)?.focus();
      theme = state.theme;
    } else if ("hits" in changes || "range" in changes || "noise" in changes) draw();
  });
  draw();
  // headlines in no story have no text before
  ready.then(() => state.shown && draw());
}

function storyItems({ data, state, open }, { of }) {
  const value = (story) => (Number.isFinite(of(story, state)) ? of(story, state) : -Infinity);
  const stories = data.stories.filter((story) => state.sizeOf(story) > 0);
  stories.sort((a, b) => value(b) - value(a) || state.sizeOf(b) - state.sizeOf(a) || a.number - b.number);
  return stories.map((story) => () => storyItem(data, state, story, open));
}

function emptyText({ shown, count }) {
  if (!shown) return "There are no stories";
  return count ? "This page has no text for what is left" : "No headline is left";
}

// Facts with dots between them; a line never breaks within one.
const factList = (facts) => separated(facts.map((fact) => (typeof fact === "string" ? el("span", { class: "fact" }, fact) : fact)));

function listButton({ name, kind, facts, hue, counts, click }) {
  const text = el("span", { class: "about" }, foreign(name, "span", { class: kind }), el("span", { class: "meta" }, ...facts));
  const dot = el("span", { class: "dot", "aria-hidden": "true" });
  dot.style.background = COLORS[hue];
  const line = counts && counts.length > 1 ? [sparkline(counts, 64, 26)] : [];
  return el("button", { type: "button", class: "story", tabindex: -1, click }, dot, text, ...line);
}

function storyItem(data, state, story, open) {
  const size = state.sizeOf(story);
  // what is known of a whole story does not hold for the part of it that a search or a time range leaves
  const whole = size === story.size;
  const facts = [whole ? counted(size, "headline") : `${number(size)} of ${counted(story.size, "headline")}`];
  if (whole && story.sources) facts.push(counted(story.sources, "source"));
  const when = whole && daysOf(data, story);
  if (when) facts.push(when);
  const growth = story.growing ? [" ", el("span", { class: "growth" }, "growing")] : [];
  const button = listButton({
    name: shortName(story),
    kind: "story-name",
    facts: [...factList(facts), ...growth],
    hue: story.hue,
    counts: whole && story.counts,
    click: () => open(story.number, true),
  });
  button.dataset.story = story.number;
  return el("li", {}, button);
}

// Headlines in no story that a search or a time range leaves: at most 200, below the stories.
function loneItems({ data, state, find }) {
  if (!state.shown || !state.noise) return [];
  const rows = [];
  for (let row = data.noiseStart; row < data.n && rows.length < 200; row++) {
    if (state.shown[row] && titleOf(data, row) !== null) rows.push(row);
  }
  const heading = rows.length ? [() => el("li", { class: "heading" }, "In no story")] : [];
  return [...heading, ...rows.map((row) => () => headlineItem(data, row, find))];
}

// A headline, which leads to its point, and beside it the way to its article.
function headlineItem(data, row, find) {
  const title = titleOf(data, row);
  const text = title === null ? el("span", { class: "none" }, missingText(data)) : foreign(title, "span", { class: "headline" });
  const button = el("button", { type: "button", class: "row", tabindex: -1, click: () => find(row) }, text, factsOf(data, row));
  const link = articleLink(data, row);
  return el("li", { class: link.length ? "linked" : false }, button, ...link);
}
