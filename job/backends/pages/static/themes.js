// Themes: the list of them, and what stands over the stories of the one that is chosen.

// The stories of a theme that are left, and how many of its headlines.
function leftOf({ data, state }, theme) {
  const stories = theme.stories.map((number) => data.stories[number]).filter((story) => state.sizeOf(story) > 0);
  return { stories, size: stories.reduce((sum, story) => sum + state.sizeOf(story), 0) };
}

function themeItems(parts) {
  const { data, openTheme } = parts;
  const themes = data.themes.filter((theme) => theme.level === "theme");
  const left = themes.map((theme) => ({ theme, ...leftOf(parts, theme) })).filter(({ size }) => size > 0);
  left.sort((a, b) => b.size - a.size || a.theme.number - b.theme.number);
  return left.map(({ theme, stories, size }) => () => {
    const growing = stories.filter((story) => story.growing).length;
    const facts = factList([counted(stories.length, "story"), counted(size, "headline")]);
    const button = listButton({
      name: theme.name,
      kind: "theme-name",
      facts: growing ? [...facts, " ", el("span", { class: "growth" }, `${number(growing)} growing`)] : facts,
      hue: stories[0].hue,
      counts: parts.state.shown ? null : sumOf(stories.map((story) => story.counts)),
      click: () => openTheme(theme.number, true),
    });
    button.dataset.theme = theme.number;
    return el("li", {}, button);
  });
}

function sumOf(lists) {
  const known = lists.filter(Boolean);
  return known.length ? known[0].map((_, i) => known.reduce((sum, counts) => sum + counts[i], 0)) : null;
}

// Returns the way back, whose text the list knows.
function makeThemeHead(parts) {
  const { data, state, closeTheme } = parts;
  const head = byId("theme");
  const back = el("button", { type: "button", class: "back", click: closeTheme });
  const [name, facts] = [el("h2", { dir: "auto" }), el("p", { class: "meta" })];
  head.append(back, name, facts);
  // before a change takes the focus away
  document.addEventListener("focusin", () => (parts.themeHadFocus = head.contains(document.activeElement) || byId("list").contains(document.activeElement)));
  parts.focusTheme = () => back.focus({ preventScroll: true });
  state.onChange(() => {
    const theme = themeOf(data, state.theme);
    head.hidden = !theme || state.story >= 0 || state.row >= 0;
    if (head.hidden) return;
    const { stories, size } = leftOf(parts, theme);
    name.textContent = theme.name;
    facts.replaceChildren(...factList([counted(stories.length, "story"), counted(size, "headline")]));
  });
  return back;
}
