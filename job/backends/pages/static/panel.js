// The headline that was pointed out on the map, and its story: its name, what is known of it, and its headlines, newest first.

const HEADLINES = 80;

// Returns a function that puts the keyboard's focus into the panel.
function makePanel(parts, ready) {
  const { data, state, close, find } = parts;
  const [panel, list, sorts] = [byId("panel"), byId("list"), byId("sorts")];
  const severalSorts = !sorts.hidden;
  let opener = null;

  function draw() {
    const story = data.stories[state.story];
    const open = Boolean(story) || state.row >= 0;
    panel.hidden = !open;
    list.hidden = open;
    sorts.hidden = open || !severalSorts;
    if (!open) return;
    const where = state.theme < 0 ? "All stories" : foreign(themeOf(data, state.theme).name);
    const back = el("button", { type: "button", class: "back", click: close }, where);
    const card = state.row < 0 ? [] : [cardOf(data, state.row)];
    panel.replaceChildren(back, ...card, ...(story ? [...headOf(parts, story), headlinesOf(story)] : []));
    panel.scrollTop = 0;
  }

  function headlinesOf(story) {
    const list = el("ol", { class: "headlines" });
    let next = story.start;
    const settle = rove(list);
    const more = el("button", { type: "button", class: "more", click: () => add().focus() }, "More headlines");
    const inside = (row) => !state.shown || state.shown[row];
    // Returns the first of the added buttons.
    function add() {
      const end = story.start + story.size;
      const before = list.children.length;
      for (let added = 0; next < end && added < HEADLINES; next++) {
        if (!inside(next)) continue;
        list.append(headlineItem(data, next, find));
        added++;
      }
      while (next < end && !inside(next)) next++;
      more.hidden = next >= end;
      settle();
      return list.children[before]?.firstElementChild;
    }
    add();
    const count = state.sizeOf(story);
    const title = count < story.size ? `${number(count)} of ${counted(story.size, "headline")}` : counted(story.size, "headline");
    return el("section", {}, el("h3", {}, title), list, more);
  }

  state.onChange((changes) => {
    if ("story" in changes && state.story >= 0 && panel.hidden) opener = state.story;
    const reopened = !panel.hidden && state.story < 0 && state.row < 0;
    draw();
    // the keyboard goes on where it was
    if (reopened && hadFocus) list.querySelector(`[data-story="${opener}"]`)?.focus();
  });
  let hadFocus = false;
  document.addEventListener("focusin", () => (hadFocus = panel.contains(document.activeElement)));
  ready.then(() => panel.hidden || draw());
  return () => panel.querySelector(".back")?.focus({ preventScroll: true });
}

// A headline with all that is known of it.
function cardOf(data, row) {
  const address = addressOf(data, row);
  const [title, description] = [titleOf(data, row), descriptionOf(data, row)];
  const name = title === null ? el("span", { class: "none" }, missingText(data)) : foreign(title);
  const parts = [el("p", { class: "headline" }, address ? el("a", { href: address, ...OUTSIDE }, name) : name)];
  if (description) parts.push(foreign(description, "p"));
  parts.push(factsOf(data, row));
  if (address) parts.push(el("p", { class: "meta site" }, siteOf(address)));
  if (data.labels[row] < 0) parts.push(el("p", { class: "meta" }, "In no story"));
  return el("section", { class: "card", "aria-label": "Headline" }, ...parts);
}

function headOf({ data, state, openTheme }, story) {
  const facts = [];
  if (story.rows && story.rows !== story.size) facts.push(counted(story.rows, "row"));
  if (story.sources) facts.push(counted(story.sources, "source"));
  const when = period(story.first, story.last);
  if (when) facts.push(when);
  const parts = [foreign(story.name, "h2")];
  if (!story.name.startsWith(shortName(story))) parts.push(el("p", { class: "short" }, "On the map: ", foreign(shortName(story))));
  const theme = themeOf(data, story.theme);
  // within the theme, the way back says it
  if (theme && theme.number !== state.theme) {
    const button = el("button", { type: "button", title: "All stories of this theme", click: () => openTheme(theme.number, true) }, foreign(theme.name));
    parts.push(el("p", { class: "theme" }, button));
  }
  const growth = story.growing ? [" ", el("span", { class: "growth" }, "growing")] : [];
  if (facts.length) parts.push(el("p", { class: "meta" }, ...factList(facts), ...growth));
  if (story.counts && story.counts.length > 1) parts.push(timeline(data, story));
  if (story.keywords && story.keywords.length) {
    parts.push(el("p", { class: "keywords" }, ...separated(story.keywords.map((word) => foreign(word)))));
  }
  return parts;
}

// The sparkline with the dates of its ends.
function timeline(data, story) {
  const { start, width, count } = data.about.bins;
  const ends = el("p", { class: "meta ends" }, el("span", {}, day(start)), el("span", {}, day(start + width * count - 1)));
  return el("div", { class: "timeline" }, sparkline(story.counts, 320, 44), ends);
}
