// A story's rows over time as a small area of SVG; it says nothing that the text beside it does not.

function sparkline(counts, width, height) {
  const largest = Math.max(1, ...counts);
  const step = width / counts.length;
  const y = (count) => (height - 1 - (height - 3) * (count / largest)).toFixed(1);
  const points = counts.map((count, i) => `${((i + 0.5) * step).toFixed(1)},${y(count)}`).join(" L");
  const attributes = { class: "sparkline", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", width, height, "aria-hidden": "true" };
  const end = ((counts.length - 0.5) * step).toFixed(1);
  return svg(
    "svg",
    attributes,
    svg("path", { class: "area", d: `M${(step / 2).toFixed(1)},${height - 1} L${points} L${end},${height - 1} Z` }),
    svg("path", { class: "line", d: `M${points}` }),
  );
}
