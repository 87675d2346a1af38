// Elements, numbers and dates. Text reaches the page here alone, as textContent: what a headline says is never markup.

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

// An element with attributes (functions are listeners: {click: f}) and children, which are elements or text.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Text of others, isolated, so that its direction does not turn what stands next to it.
const foreign = (text, tag = "bdi", attributes = {}) => el(tag, { dir: "auto", ...attributes }, text);

// made once: toLocaleString makes one for each number
const numbers = new Intl.NumberFormat("en-US");
const number = (value) => numbers.format(value);
const counted = (value, one) => `${number(value)} ${value === 1 ? one : one.endsWith("y") ? one.slice(0, -1) + "ies" : one + "s"}`;

const formats = {};
function format(kind) {
  const options = {
    day: { day: "numeric", month: "short", year: "numeric" },
    moment: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" },
    date: { day: "numeric", month: "short" },
  };
  formats[kind] = formats[kind] || new Intl.DateTimeFormat("en-GB", { ...options[kind], timeZone: "UTC" });
  return formats[kind];
}

// What a Date can hold; a wrong time in the data is beyond it.
const isTime = (seconds) => Number.isFinite(seconds) && Math.abs(seconds) < 8.6e12;
const day = (seconds) => (isTime(seconds) ? format("day").format(seconds * 1000) : "");
const moment = (seconds) => (isTime(seconds) ? `${format("moment").format(seconds * 1000)} UTC` : "");

// A headline's time, without the clock where the data has days only.
const timeText = (data, seconds) => (data.daysOnly ? day(seconds) : moment(seconds));

// `kind`: day, or date without the year.
function period(first, last, kind = "day") {
  if (!isTime(first) || !isTime(last)) return "";
  // spaces around the dash would let the line break there
  return format(kind).formatRange(first * 1000, last * 1000).replace(/\s*–\s*/u, "–");
}

// The days of a story; without a year where the whole map lies in one. The list asks for them with each letter of a search.
function daysOf(data, story) {
  if (story.days === undefined) story.days = daysText(data, story);
  return story.days;
}

function daysText(data, story) {
  const { bins } = data.about;
  const year = (seconds) => new Date(seconds * 1000).getUTCFullYear();
  const inYear = bins && isTime(bins.start) && year(bins.start) === year(bins.start + bins.width * bins.count - 1);
  const same = inYear && [story.first, story.last].every((time) => isTime(time) && year(time) === year(bins.start));
  return period(story.first, story.last, same ? "date" : "day");
}

// Runs `work` once before the next frame, however often it is called until then.
function oncePerFrame(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}
