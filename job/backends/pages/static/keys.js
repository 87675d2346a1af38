// The keyboard: what the mouse does on the map, and a way to the search from everywhere.

function watchKeys({ map, view, state, tip, close, closeTheme, home }) {
  const query = byId("query");
  map.addEventListener("keydown", (event) => {
    if (event.target !== map || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {
      ArrowLeft: () => view.panBy(-0.15, 0),
      ArrowRight: () => view.panBy(0.15, 0),
      ArrowUp: () => view.panBy(0, 0.15),
      ArrowDown: () => view.panBy(0, -0.15),
      "+": () => view.zoomBy(1.5),
      "=": () => view.zoomBy(1.5),
      "-": () => view.zoomBy(1 / 1.5),
      0: home,
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && document.activeElement !== query) {
      event.preventDefault();
      query.focus();
      query.select();
    } else if (event.key === "Escape") {
      if (tip.isShown()) tip.hide();
      else if (state.story >= 0 || state.row >= 0) close();
      else if (state.theme >= 0) closeTheme();
      else if (query.value) {
        query.value = "";
        query.dispatchEvent(new Event("input"));
      }
    }
  });
}
