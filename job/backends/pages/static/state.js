// What the reader has chosen, and which points are left by it.

// `hits`: rows that the search found, null = no search. `range`: [first, last] second, null = all times.
// `shown`: rows that hits and range leave, null = all. `perStory`: how many of each story. `hidden`: how many more
// they would leave if `noise` were on.
function makeState(data) {
  const state = { story: NOISE, hits: null, range: null, noise: true, shown: null, count: data.n, hidden: 0, perStory: null };
  const listeners = [];
  state.onChange = (listener) => listeners.push(listener);
  state.change = (changes) => {
    Object.assign(state, changes);
    if ("hits" in changes || "range" in changes || "noise" in changes) filter(data, state);
    listeners.forEach((listener) => listener(changes));
  };
  // whether a row is left: a point can be pointed at, and its text shown
  state.visible = (row) => (state.shown ? state.shown[row] > 0 : state.noise || row < data.noiseStart);
  state.sizeOf = (story) => (state.perStory ? state.perStory[story.number] : story.size);
  filter(data, state);
  return state;
}

function filter(data, state) {
  const { hits, range } = state;
  const end = state.noise ? data.n : data.noiseStart;
  state.count = end;
  state.hidden = 0;
  state.shown = state.perStory = null;
  if (!hits && !range) return;
  const shown = new Uint8Array(data.n);
  const perStory = new Uint32Array(data.stories.length);
  let count = 0;
  for (let row = 0; row < data.n; row++) {
    if (hits && !hits[row]) continue;
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
