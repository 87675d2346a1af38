// The map in three dimensions: the same functions as the flat view's, by the camera of Plotly's scene.

// of the camera from what it looks at
const [NEAREST, FARTHEST] = [0.02, 6];

function spaceView(plot, data) {
  const view = { flat: false, width: 1, height: 1, matrix: null };
  const [eye, up] = [{ x: 1.0, y: 1.0, z: 0.7 }, { x: 0, y: 0, z: 1 }];

  view.layout = () => {
    const axis = { visible: false, showspikes: false, range: [0, 1] };
    const camera = { eye, up, center: { x: 0, y: 0, z: 0 } };
    return { scene: { xaxis: axis, yaxis: { ...axis }, zaxis: { ...axis }, aspectmode: "cube", camera } };
  };
  view.trace = (rows) => ({
    type: "scatter3d",
    x: data.x.subarray(...rows),
    y: data.y.subarray(...rows),
    z: data.z.subarray(...rows),
  });
  const scene = () => plot._fullLayout.scene._scene;
  view.refresh = () => {
    view.width = plot.clientWidth;
    view.height = plot.clientHeight;
    const { model, view: camera, projection } = scene().glplot.cameraParams;
    view.matrix = product(projection, product(camera, model));
    view.scale = scene().dataScale;
  };
  view.place = (x, y, z, to) => {
    const m = view.matrix;
    const [a, b, c] = [x * view.scale[0], y * view.scale[1], z * view.scale[2]];
    const w = m[3] * a + m[7] * b + m[11] * c + m[15];
    to[0] = (0.5 + (0.5 * (m[0] * a + m[4] * b + m[8] * c + m[12])) / w) * view.width;
    to[1] = (0.5 - (0.5 * (m[1] * a + m[5] * b + m[9] * c + m[13])) / w) * view.height;
    return w > 0;
  };

  const camera = () => scene().getCamera();
  const length = (v) => Math.hypot(v.x, v.y, v.z);
  const from = () => {
    const { eye: at, center } = camera();
    return { x: at.x - center.x, y: at.y - center.y, z: at.z - center.z };
  };
  view.zoom = () => length(eye) / length(from());
  // a drag tilts the camera: `upright` turns it back
  const go = (center, away, upright = false) => {
    const at = { x: center.x + away.x, y: center.y + away.y, z: center.z + away.z };
    const changes = { "scene.camera.center": center, "scene.camera.eye": at };
    return Plotly.relayout(plot, upright ? { ...changes, "scene.camera.up": up } : changes);
  };
  const scaled = (v, by) => ({ x: v.x * by, y: v.y * by, z: v.z * by });
  view.home = () => go({ x: 0, y: 0, z: 0 }, eye, true);
  view.zoomBy = (factor) => {
    const away = from();
    const to = Math.min(Math.max(length(away) / factor, NEAREST), FARTHEST);
    return go(camera().center, scaled(away, to / length(away)));
  };
  // whether the camera cannot go nearer, or farther
  view.ends = (inward) => (inward ? length(from()) <= NEAREST : length(from()) >= FARTHEST);
  // arrow keys turn the scene at the same distance, up to its poles
  view.panBy = (right, upward) => {
    const away = from();
    const distance = length(away);
    const around = Math.atan2(away.y, away.x) + 2 * right;
    const down = Math.min(Math.max(Math.acos(away.z / distance) - 2 * upward, 0.05), Math.PI - 0.05);
    const [flat, z] = [distance * Math.sin(down), distance * Math.cos(down)];
    return go(camera().center, { x: flat * Math.cos(around), y: flat * Math.sin(around), z }, true);
  };
  view.flyTo = (rows) => {
    const at = [data.x, data.y, data.z].map((values) => middle(values, rows));
    const [x, y, z] = at.map(([low, high]) => (low + high) / 2 - 0.5);
    const span = Math.max(...at.map(([low, high]) => high - low), 0.05);
    return go({ x, y, z }, scaled(from(), Math.min(2.2 * span, 1) / length(from())));
  };
  // Plotly does not say when its camera moves by itself: look at every frame
  view.watch = (moved) => {
    let last = "";
    const look = () => {
      const { view: now, projection } = scene().glplot.cameraParams;
      const text = `${now}${projection}`;
      if (text !== last) moved();
      last = text;
      requestAnimationFrame(look);
    };
    look();
  };
  return view;
}

// Of 4 x 4 matrices by columns, as WebGL has them.
function product(a, b) {
  const result = new Float64Array(16);
  for (let column = 0; column < 4; column++) {
    for (let row = 0; row < 4; row++) {
      for (let k = 0; k < 4; k++) result[4 * column + row] += a[4 * k + row] * b[4 * column + k];
    }
  }
  return result;
}
