// The search: every word, and every part in quotes, must stand in a headline's title, its description or its story's name.

// double quotes: texts have no weight on them, and a query has parts in them
const QUOTES = "\"“”„‟«»〝〞〟＂";
const EVERY_QUOTE = new RegExp(`[${QUOTES}]`, "g");
const PARTS = new RegExp(`[${QUOTES}]([^${QUOTES}]*)[${QUOTES}]|[^\\s${QUOTES}]+`, "g");
// what normalization takes for letters of their own
const PLAIN = { ß: "ss", ł: "l", ø: "o", đ: "d", ı: "i", æ: "ae", œ: "oe" };

// Lower case, without quotes, accents, and without the vowel points of Hebrew and Arabic: what is typed on any keyboard finds
// what is written in any way. Other marks make another letter, as those of Kana and of Indian scripts.
function folded(text) {
  if (/^[\x00-\x7f]*$/.test(text)) return text.replaceAll('"', "").toLowerCase();
  const plain = text.replace(EVERY_QUOTE, "").replace(/[‘’ʼ]/g, "'").replace(/[‐-―]/g, "-");
  const letters = plain.normalize("NFKD").replace(/[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]/g, "");
  return letters.normalize("NFKC").toLowerCase().replace(/[ßłøđıæœ]/g, (letter) => PLAIN[letter]);
}

// All texts in one string, a line per row with text, and where each line starts: one scan of it takes milliseconds.
function makeHaystack(data) {
  const lines = data.titles.map((title, i) => {
    const description = data.descriptions ? data.descriptions[i] : "";
    return folded(description ? `${title} ${description}` : title);
  });
  const starts = new Uint32Array(lines.length + 1);
  lines.forEach((line, i) => (starts[i + 1] = starts[i] + line.length + 1));
  let rows = null;
  if (data.textOf) {
    rows = new Uint32Array(lines.length);
    data.textOf.forEach((at, row) => at >= 0 && (rows[at] = row));
  }
  return { text: lines.join("\n"), starts, rows };
}

const storyText = (story) => folded([story.name, story.label || "", ...(story.keywords || [])].join(" "));

// The words of a query, and its parts in quotes, each with single spaces. A quote that is not closed yet is left out.
function partsOf(query) {
  const parts = Array.from(query.matchAll(PARTS), ([word, quoted]) => folded(quoted ?? word));
  return parts.flatMap((part) => part.split(/\s+/).filter(Boolean).join(" ") || []);
}

// Of each row whether all parts of `query` are found; null where there is none.
function search(data, haystack, query) {
  const words = partsOf(query);
  if (!words.length) return null;
  let hits = null;
  for (const word of words) {
    const found = rowsWith(data, haystack, word);
    if (hits) for (let i = 0; i < found.length; i++) hits[i] &= found[i];
    else hits = found;
  }
  return hits;
}

function rowsWith(data, { text, starts, rows }, word) {
  const found = new Uint8Array(data.n);
  let line = 0;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, starts[line])) {
    line = lineAt(starts, at, line);
    found[rows ? rows[line] : line] = 1;
    if (++line + 1 >= starts.length) break;
  }
  for (const story of data.stories) {
    story.folded = story.folded || storyText(story);
    if (story.folded.includes(word)) found.fill(1, ...rangeOf(story));
  }
  return found;
}

// The line that holds a position: hits lie close together or far apart, so steps that double, then halves.
function lineAt(starts, at, from) {
  let step = 1;
  while (from + step < starts.length && starts[from + step] <= at) step *= 2;
  let [low, high] = [from + (step >> 1), Math.min(from + step, starts.length - 1)];
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= at) low = middle;
    else high = middle;
  }
  return starts[high] <= at ? high : low;
}

// Returns a function that asks for words, as from the page's address.
function watchSearch({ data, state, view, inBox, drawer }, ready) {
  const field = byId("query");
  let haystack = null;
  const run = async () => {
    const { story, row } = state;
    await ready;
    haystack = haystack || makeHaystack(data);
    // texts may take seconds to unpack: what was opened meanwhile stays open
    const closes = state.story === story && state.row === row ? { story: NOISE, row: NOISE } : {};
    state.change({ hits: search(data, haystack, field.value), query: field.value.trim(), ...closes });
    goToHits(data, state, view, inBox);
  };
  // on a phone the list is a sheet
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    drawer(true);
    if (byId("sheet").checkVisibility()) field.blur();
  });
  field.addEventListener("input", run);
  ready.then(() => setTimeout(() => (haystack = haystack || makeHaystack(data)), 200));
  const found = byId("found");
  state.onChange(() => {
    found.textContent = state.hits || state.range ? foundText(data, state) : "";
  });
  return (words) => {
    field.value = words;
    return run();
  };
}

// Where what a search found is out of sight, the map goes there.
function goToHits(data, state, view, inBox) {
  if (!state.hits || !state.count) return;
  let inSight = false;
  view.refresh();
  inBox({ left: 0, top: 0, right: view.width, bottom: view.height }, () => (inSight = true));
  if (inSight) return;
  const rows = [];
  state.shown.forEach((shown, row) => shown && rows.push(row));
  view.flyTo(rows);
}

function foundText(data, state) {
  const stories = state.perStory.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  const where = (stories ? ` in ${counted(stories, "story")}` : "") + (state.theme >= 0 ? " of this theme" : "");
  const sample = state.hits && data.textOf ? `, among the ${number(data.about.texts)} with text` : "";
  const hidden = state.hidden ? `; ${number(state.hidden)} in no story ${state.hidden === 1 ? "is" : "are"} switched off` : "";
  return (state.count ? `${counted(state.count, "headline")}${where}` : `Nothing found${state.theme >= 0 ? " in this theme" : ""}`) + sample + hidden;
}
