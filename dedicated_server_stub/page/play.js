// Draws a room and reads keyboard, mouse and touch. The address says where the match is found:
// /play?match=ws://127.0.0.1:8080/ws/&mode=Normal_1v1
import { Room, findMatch } from "./client.js";

const TAG_RANGE = 3;
const GRID = 10; // between two lines, in units of the world
const ENDS = {
  1008: "You have sent too much.",
  1006: "The connection is lost.",
  1011: "The server had to end the game.",
  1013: "The connection is too slow.",
  4000: "You play in another window.",
  4401: "The server did not let you in.",
  4403: "The server did not let you in.",
  4410: "The game is over.",
};
const KEYS = {
  ArrowUp: [0, 1], KeyW: [0, 1], ArrowDown: [0, -1], KeyS: [0, -1],
  ArrowLeft: [-1, 0], KeyA: [-1, 0], ArrowRight: [1, 0], KeyD: [1, 0],
};
const query = new URLSearchParams(location.search);
const status = document.getElementById("status");
const canvas = document.getElementById("square");
const lines = document.getElementById("lines");
const again = document.getElementById("again");
const tag = document.getElementById("tag");
const chat = document.getElementById("chat");
const held = new Set();
let pointer = null; // where a finger or the mouse is held, in units of the world
let room = null;
let shownLines = 0;

async function play() {
  again.hidden = true;
  const playerId = `web-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  try {
    const found = await findMatch(query.get("match") ?? "ws://127.0.0.1:8080/ws/", playerId,
      query.get("mode") ?? "Normal_1v1", (message) => {
        status.textContent = { queued: "Waiting for other players…", start_loading: "Loading…" }[message.type] ?? "…";
      });
    shownLines = 0;
    lines.replaceChildren();
    room = new Room(found, { onChange: show, onEnd: end });
  } catch (error) {
    stop(error.message);
  }
}

function show() {
  if (!room?.me) return;
  const { me, players } = room;
  const others = players.size === 1 ? "nobody else here" : `${players.size} players`;
  const points = me.score === 1 ? "1 point" : `${me.score} points`;
  status.textContent = room.connected
    ? `You are ${me.player_id}: ${points}, ${others}`
    : "The connection is lost. Coming back…";
  tag.disabled = !(room.connected && nearest());
  for (; shownLines < room.chat.length; shownLines++) {
    const { player_id: who, text } = room.chat[shownLines];
    const line = document.createElement("li");
    line.textContent = `${who}: ${text}`;
    lines.prepend(line);
  }
}

function end(result, code) {
  room = null;
  if (result) stop(`The game is over. ${result.winner ? `${result.winner} wins.` : "Nobody wins."}`);
  else stop(ENDS[code] ?? "The game is over.");
}

function stop(text) {
  status.textContent = text;
  again.hidden = false;
  tag.disabled = true;
}

function direction(me) {
  if (pointer) {
    const [x, y] = [pointer.x - me.x, pointer.y - me.y];
    return Math.hypot(x, y) > 0.5 ? [x, y] : [0, 0];
  }
  return [...held].reduce(([x, y], key) => [x + KEYS[key][0], y + KEYS[key][1]], [0, 0]);
}

let lastStep = performance.now();
function step() {
  const now = performance.now();
  const seconds = Math.min((now - lastStep) / 1000, 0.1);
  lastStep = now;
  if (!room?.connected) return;
  const me = room.me;
  const [x, y] = direction(me);
  const length = Math.hypot(x, y);
  if (!length) return;
  const reach = 0.9 * room.speed * seconds; // a little less than allowed: clocks differ
  const inside = (value, [low, high]) => Math.min(Math.max(value, low), high);
  me.x = inside(me.x + (x / length) * reach, room.bounds.x);
  me.y = inside(me.y + (y / length) * reach, room.bounds.y);
  me.yaw = Math.atan2(y, x);
  room.move({ x: me.x, y: me.y, z: me.z, yaw: me.yaw });
  show();
}

/** The nearest other player who is near enough to be tagged. */
function nearest() {
  const near = [...room.players.values()]
    .filter((player) => player !== room.me)
    .map((player) => [Math.hypot(player.x - room.me.x, player.y - room.me.y), player])
    .filter(([distance]) => distance <= TAG_RANGE)
    .sort(([a], [b]) => a - b);
  return near[0]?.[1];
}

function tagNearest() {
  const near = room?.connected && nearest();
  if (near) room.tag(near.player_id);
}

const colours = getComputedStyle(document.documentElement); // live: follows the scheme of the system
function draw() {
  requestAnimationFrame(draw);
  const pixel = devicePixelRatio;
  const size = Math.round(canvas.clientWidth * pixel);
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const paint = canvas.getContext("2d");
  const colour = (name) => colours.getPropertyValue(`--${name}`);
  const [low, high] = room?.bounds?.x ?? [-50, 50];
  const scale = size / (high - low);
  const across = (x) => (x - low) * scale;
  const down = (y) => size - (y - low) * scale;
  paint.clearRect(0, 0, size, size);
  paint.lineWidth = pixel;
  paint.strokeStyle = colour("grid");
  for (let line = Math.ceil(low / GRID) * GRID; line <= high; line += GRID) {
    paint.strokeRect(across(line), -pixel, 0, size + 2 * pixel);
    paint.strokeRect(-pixel, down(line), size + 2 * pixel, 0);
  }
  paint.strokeStyle = colour("edge");
  paint.strokeRect(pixel / 2, pixel / 2, size - pixel, size - pixel);
  if (!room?.me) return;
  const me = room.me;
  paint.strokeStyle = colour("me");
  circle(paint, across(me.x), down(me.y), TAG_RANGE * scale);
  paint.stroke();
  paint.font = `${13 * pixel}px system-ui, sans-serif`;
  paint.textBaseline = "middle";
  // Labels lie below the dots, and one's own is above the others, so that no player is hidden.
  const drawn = [...room.players.values()].filter((player) => player !== me).concat(me);
  for (const player of drawn) {
    const [x, y] = [across(player.x), down(player.y)];
    const label = `${player === me ? "you" : player.player_id} ${player.score}`;
    const gap = 12 * pixel;
    const fits = x + gap + paint.measureText(label).width < size - gap;
    paint.textAlign = fits ? "left" : "right";
    const at = fits ? x + gap : x - gap;
    paint.strokeStyle = colour("ground");
    paint.lineWidth = 4 * pixel;
    paint.lineJoin = "round";
    paint.strokeText(label, at, y);
    paint.fillStyle = colour(player === me ? "me" : "other");
    paint.fillText(label, at, y);
  }
  for (const player of drawn) {
    paint.fillStyle = colour(player === me ? "me" : "other");
    circle(paint, across(player.x), down(player.y), (player === me ? 8 : 6) * pixel);
    paint.fill();
  }
}

function circle(paint, x, y, radius) {
  paint.beginPath();
  paint.arc(x, y, radius, 0, 2 * Math.PI);
}

function hold(event) {
  if (!room?.bounds) return;
  const box = canvas.getBoundingClientRect();
  const [low, high] = room.bounds.x;
  const at = (part) => low + part * (high - low);
  pointer = { x: at((event.clientX - box.left) / box.width), y: at(1 - (event.clientY - box.top) / box.height) };
}

const typing = (event) => event.target instanceof HTMLInputElement || event.target instanceof HTMLButtonElement;
addEventListener("keydown", (event) => {
  if (typing(event)) return;
  if (event.code in KEYS) held.add(event.code);
  else if (event.code === "Space") tagNearest();
  else return;
  event.preventDefault();
});
addEventListener("keyup", (event) => held.delete(event.code));
addEventListener("blur", () => held.clear());
canvas.addEventListener("pointerdown", (event) => (event.isPrimary ? hold(event) : tagNearest()));
canvas.addEventListener("pointermove", (event) => event.isPrimary && pointer && hold(event));
for (const name of ["pointerup", "pointercancel", "pointerleave"]) {
  canvas.addEventListener(name, (event) => event.isPrimary && (pointer = null));
}
chat.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = chat.elements.text.value.trim();
  if (text) room?.say(text);
  chat.reset();
});
again.addEventListener("click", play);
tag.addEventListener("click", tagNearest);
addEventListener("pagehide", () => room?.leave());
setInterval(step, 50);
draw();
play();
