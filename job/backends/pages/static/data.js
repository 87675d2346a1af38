// Unpacks what payload.py packed.

const NOISE = -1;

function bytesOf(id) {
  const node = byId(id);
  const text = node.textContent;
  node.remove();
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function unpacked(id) {
  const stream = new Blob([bytesOf(id)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const unpackedText = async (id) => new TextDecoder().decode(await unpacked(id));

// Whole numbers from their bytes: all of the highest weight first.
function columnsOf(buffer, columns, n) {
  const bytes = new Uint8Array(buffer);
  const result = {};
  let at = 0;
  for (const [name, size] of columns) {
    const values = new Float64Array(n);
    for (let place = 0; place < size; place++, at += n) {
      for (let i = 0; i < n; i++) values[i] = values[i] * 256 + bytes[at + i];
    }
    result[name] = values;
  }
  return result;
}

// Points, stories and themes. Rows are in the page's order: by hue, then story, newest first, noise last.
async function loadData() {
  const about = JSON.parse(byId("about").textContent);
  const [cloud, text] = await Promise.all([unpacked("cloud"), unpackedText("data")]);
  const { stories, themes, sources } = JSON.parse(text);
  const n = about.points;
  const columns = columnsOf(cloud, about.columns, n);
  const axis = (values) => values && Float32Array.from(values, (value) => value / 0xffffff);
  const labels = new Int32Array(n).fill(NOISE);
  stories.forEach((story, number) => {
    story.number = number;
    labels.fill(number, story.start, story.start + story.size);
  });
  const seconds = columns.time && columns.time.map((v) => (v ? about.times.start + (v - 1) * about.times.unit : NaN));
  const data = { about, n, stories, themes, sources, labels, seconds, titles: null, descriptions: null, addresses: null };
  for (const name of ["x", "y", "z"]) data[name] = axis(columns[name]);
  data.daysOnly = Boolean(seconds) && seconds.every((time) => Number.isNaN(time) || time % 86400 === 0);
  data.noiseStart = n - about.noise;
  data.copies = columns.copies;
  data.source = columns.source;
  // the place of each row's text: all rows have one, or those of a sample
  data.textOf = null;
  if (columns.text) {
    data.textOf = new Int32Array(n);
    for (let i = 0, texts = 0; i < n; i++) data.textOf[i] = columns.text[i] ? texts++ : -1;
  }
  return data;
}

async function loadTexts(data) {
  const lines = async (id) => (byId(id) ? (await unpackedText(id)).split("\n") : null);
  const [titles, descriptions, addresses] = await Promise.all(["titles", "descriptions", "addresses"].map(lines));
  Object.assign(data, { titles: data.n ? titles : [], descriptions, addresses });
}

// The title of a row; null where it has no text in this page, or not yet.
function titleOf(data, row) {
  if (!data.titles) return null;
  const at = data.textOf ? data.textOf[row] : row;
  return at < 0 ? null : data.titles[at];
}

const descriptionOf = (data, row) => (data.descriptions ? data.descriptions[row] : "");
const sourceOf = (data, row) => (data.source && data.source[row] > 0 ? data.sources[data.source[row] - 1] : "");
const timeOf = (data, row) => (data.seconds ? data.seconds[row] : NaN);
const themeOf = (data, number) => data.themes.find((theme) => theme.level === "theme" && theme.number === number);
// A story's name on the map, in the list and with a headline; its panel has the whole name too.
const shortName = (story) => story.label || story.name;
const nameOf = (data, row) => (data.labels[row] < 0 ? "" : shortName(data.stories[data.labels[row]]));
