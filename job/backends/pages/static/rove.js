// A list of buttons as one stop of the Tab key: the arrow keys, Home and End go through it. The buttons come with a
// tabindex of -1; returns a function to call when some were added.

function rove(list) {
  let stop = null;
  const stopAt = (button) => {
    if (stop) stop.tabIndex = -1;
    stop = button;
    if (stop) stop.tabIndex = 0;
  };
  list.addEventListener("focusin", (event) => stopAt(event.target.closest("button")));
  list.addEventListener("keydown", (event) => {
    const buttons = [...list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    const next = { ArrowDown: buttons[at + 1], ArrowUp: buttons[at - 1], Home: buttons[0], End: buttons.at(-1) }[event.key];
    if (!next || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    next.focus();
  });
  return () => {
    if (!stop || !list.contains(stop)) stopAt(list.querySelector("button"));
  };
}
