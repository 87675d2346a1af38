// The page's address says what is chosen, "#story=ID&theme=NAME&search=WORDS&from=TIME&to=TIME": it can be sent, and back
// and forward work.

const WRITE_MS = 150;

// Reads the address now and whenever it changes, and writes it when the reader chooses something else.
function keepAddress(parts) {
  const { data, state } = parts;
  const byStoryId = new Map(data.stories.map((story) => [story.id, story.number]));
  let [reading, written, timer] = [0, "", 0];
  // what makes a step of its own for "back": a word that is typed on does not
  const kind = () => [state.story, state.theme, state.query !== "", state.range !== null].join();

  async function read() {
    const turn = ++reading;
    const hadFocus = byId("drawer").contains(document.activeElement);
    const wanted = new URLSearchParams(location.hash.slice(1));
    const story = byStoryId.get(wanted.get("story")) ?? NOISE;
    const named = data.themes.find((theme) => theme.level === "theme" && theme.name === wanted.get("theme"));
    const theme = named && (story < 0 || data.stories[story].theme === named.number) ? named.number : NOISE;
    const query = (wanted.get("search") || "").trim();
    const times = ["from", "to"].map((end) => wanted.get(end));
    const range = times.map(secondsOf);
    const readable = times.every((text, i) => !text || isTime(range[i]));
    const inTime = parts.chooseTimes(...(readable ? range : [NaN, NaN])) && readable;
    const missing = { story: wanted.has("story") && story < 0, theme: wanted.has("theme") && !named, "time range": times.some(Boolean) && !inTime };
    const lost = Object.keys(missing).find((name) => missing[name]);
    byId("lost").hidden = !lost;
    byId("lost").textContent = lost ? `The ${lost} of this link is not on this map.` : "";
    const before = state.theme;
    const asks = query !== state.query;
    if (asks) await parts.ask(query);
    if (turn !== reading) return;
    // what the reader has chosen while the texts were unpacked stays
    if (asks && (state.story >= 0 || state.row >= 0 || state.theme !== before)) {
      reading = 0;
      write();
      return;
    }
    const moves = story >= 0 ? story !== state.story : theme >= 0 && theme !== state.theme;
    state.change({ story, theme, row: NOISE });
    if (story >= 0 || theme >= 0) parts.drawer(true);
    if (hadFocus) keepFocus(story, theme);
    const rows = story >= 0 ? rowsOfStory(data.stories[story]) : theme >= 0 ? rowsOfTheme(data, themeOf(data, theme)) : [];
    if (moves && rows.length) parts.view.flyTo(rows);
    clearTimeout(timer);
    written = kind();
    reading = 0;
  }

  // what the keyboard was on may be gone: it goes on at the top of what is there now
  function keepFocus(story, theme) {
    const at = document.activeElement;
    if (at !== document.body && at.checkVisibility()) return;
    if (story >= 0) parts.focusPanel();
    else if (theme >= 0) parts.focusTheme();
    else byId("list").querySelector("[tabindex='0']")?.focus();
  }

  function write() {
    const now = new URLSearchParams();
    if (state.story >= 0) now.set("story", data.stories[state.story].id);
    if (state.theme >= 0) now.set("theme", themeOf(data, state.theme).name);
    if (state.query) now.set("search", state.query);
    if (state.range) {
      now.set("from", textOf(state.range[0]));
      now.set("to", textOf(state.range[1]));
    }
    const step = written === kind() ? "replaceState" : "pushState";
    written = kind();
    byId("lost").hidden = true;
    // a page within another one may be denied it
    try {
      history[step](null, "", now.size ? `#${now}` : location.pathname + location.search);
    } catch {}
  }

  state.onChange(() => {
    clearTimeout(timer);
    // browsers refuse hundreds of steps in a few seconds, as a drag makes them
    if (!reading) timer = setTimeout(write, WRITE_MS);
  });
  addEventListener("hashchange", read);
  return read();
}

const textOf = (seconds) => (isTime(seconds) ? new Date(Math.round(seconds * 1000)).toISOString().replace(".000Z", "Z") : "");
// in UTC, as all times of the page, also where a hand-written one does not say so; NaN: none
const secondsOf = (text) => (text ? Date.parse(/T[\d:.]+$/.test(text) ? `${text}Z` : text) / 1000 : NaN);
