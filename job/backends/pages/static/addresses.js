// The addresses of articles, as addresses.py coded them, and links to them.

const MARKS = /[\x01-\x09\x0b-\x1f]/g;

// The address of a row's article; "" where none is known, or not yet.
function addressOf(data, row) {
  const title = titleOf(data, row);
  const line = title !== null && data.addresses ? data.addresses[data.textOf ? data.textOf[row] : row] : "";
  if (!line) return "";
  const words = title.replace(/['’]/g, "").match(/[A-Za-z0-9]+/g) || [];
  const word = (mark) => words[mark.charCodeAt(0) - (mark > "\n" ? 2 : 1)].toLowerCase();
  const address = line.replace(MARKS, word);
  // nothing else is ever linked to
  return /^https?:\/\//i.test(address) ? address : "";
}

const OUTSIDE = { target: "_blank", rel: "noopener noreferrer" };

function siteOf(address) {
  try {
    return new URL(address).hostname.replace(/^www\./, "");
  } catch {
    return "its site";
  }
}

// An arrow that leads to a headline's article. It is not read out alone: it says what it opens.
function articleLink(data, row) {
  const address = addressOf(data, row);
  if (!address) return [];
  const label = `Article at ${siteOf(address)}: ${titleOf(data, row)}`;
  const arrow = svg("svg", { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" }, svg("path", { d: "M2.5 9.5 9 3M4 3h5v5" }));
  return [el("a", { class: "article", href: address, ...OUTSIDE, tabindex: -1, title: `Read it at ${siteOf(address)}`, "aria-label": label }, arrow)];
}
