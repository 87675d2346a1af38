// What the reader has chosen, and which points are left by it.

// `story`, `theme`: numbers, NOISE = none. `row`: a headline that was pointed out on the map, NOISE = none.
// `hits`: rows that the search found for `query`, null = no search. `range`: [first, last] second, null = all times.
// `shown`: rows that hits, range and theme leave, null = all. `perStory`: how many of each story. `hidden`: how many more
// they would leave if `noise` were on.
function makeState(data) {
  const state = { story: NOISE, theme: NOISE, row: NOISE, hits: null, query: "", range: null, noise: true };
  const listeners = [];
  state.onChange = (listener) => listeners.push(listener);
  state.change = (changes) => {
    Object.assign(state, changes);
    if (["hits", "range", "noise", "theme"].some((name) => name in changes)) filter(data, state);
    listeners.forEach((listener) => listener(changes));
  };
  // whether a row is left: a point can be pointed at, and its text shown
  state.visible = (row) => (state.shown ? state.shown[row] > 0 : state.noise || row < data.noiseStart);
  state.sizeOf = (story) => (state.perStory ? state.perStory[story.number] : story.size);
  filter(data, state);
  return state;
}

function filter(data, state) {
  const { hits, range, theme } = state;
  const end = state.noise ? data.n : data.noiseStart;
  // headlines in no story have no theme here
  const last = theme < 0 ? data.n : data.noiseStart;
  state.count = end;
  state.hidden = 0;
  state.shown = state.perStory = null;
  if (!hits && !range && theme < 0) return;
  const shown = new Uint8Array(data.n);
  const perStory = new Uint32Array(data.stories.length);
  let count = 0;
  const inTheme = data.stories.map((story) => theme < 0 || story.theme === theme);
  for (let row = 0; row < last; row++) {
    if (hits && !hits[row]) continue;
    if (theme >= 0 && !inTheme[data.labels[row]]) continue;
    if (range && !(data.seconds[row] >= range[0] && data.seconds[row] <= range[1])) continue;
    if (row >= end) {
      state.hidden++;
      continue;
    }
    shown[row] = 1;
    count++;
    if (data.labels[row] >= 0) perStory[data.labels[row]]++;
  }
  Object.assign(state, { shown, perStory, count });
}
