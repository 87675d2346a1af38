// A list of buttons as one stop of the Tab key: the arrow keys, Home and End go through it. A link beside a button is the
// next stop. Both come with a tabindex of -1; returns a function to call when some were added.

function rove(list) {
  let stop = null;
  const stopAt = (item) => {
    for (const node of stop ? stop.children : []) node.tabIndex = -1;
    stop = item;
    for (const node of stop ? stop.children : []) node.tabIndex = 0;
  };
  list.addEventListener("focusin", (event) => stopAt(event.target.closest("li")));
  list.addEventListener("keydown", (event) => {
    const buttons = [...list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement.closest("li").querySelector("button"));
    const next = { ArrowDown: buttons[at + 1], ArrowUp: buttons[at - 1], Home: buttons[0], End: buttons.at(-1) }[event.key];
    if (!next || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    next.focus();
  });
  return () => {
    if (!stop || !list.contains(stop)) stopAt(list.querySelector("button")?.closest("li"));
  };
}
