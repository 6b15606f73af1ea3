// Draws a room and reads keyboard, mouse and touch. The address says where the match is found:
// /play?match=ws://127.0.0.1:8080/ws/&mode=Normal_1v1
import { Room, findMatch } from "./client.js";

const TAG_RANGE = 3;
const KEYS = {
  ArrowUp: [0, 1], KeyW: [0, 1], ArrowDown: [0, -1], KeyS: [0, -1],
  ArrowLeft: [-1, 0], KeyA: [-1, 0], ArrowRight: [1, 0], KeyD: [1, 0],
};
const query = new URLSearchParams(location.search);
const status = document.getElementById("status");
const canvas = document.getElementById("square");
const lines = document.getElementById("lines");
const again = document.getElementById("again");
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
  status.textContent = `${room.me.player_id}: ${room.me.score} points, ${room.players.size} players`;
  for (; shownLines < room.chat.length; shownLines++) {
    const { player_id: who, text } = room.chat[shownLines];
    const line = document.createElement("li");
    line.textContent = `${who}: ${text}`;
    lines.prepend(line);
  }
}

function end(result, code) {
  room = null;
  stop(result ? `The game is over. ${result.winner ? `${result.winner} wins.` : "Nobody wins."}` : `Closed with ${code}.`);
}

function stop(text) {
  status.textContent = text;
  again.hidden = false;
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
  if (!room?.me) return;
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
}

function tagNearest() {
  if (!room?.me) return;
  const near = [...room.players.values()]
    .filter((player) => player !== room.me)
    .map((player) => [Math.hypot(player.x - room.me.x, player.y - room.me.y), player.player_id])
    .sort(([a], [b]) => a - b)[0];
  if (near && near[0] <= TAG_RANGE) room.tag(near[1]);
}

function draw() {
  requestAnimationFrame(draw);
  const size = canvas.clientWidth * devicePixelRatio;
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const paint = canvas.getContext("2d");
  paint.clearRect(0, 0, size, size);
  if (!room?.bounds) return;
  const [low, high] = room.bounds.x;
  const scale = size / (high - low);
  paint.font = `${12 * devicePixelRatio}px system-ui`;
  for (const player of room.players.values()) {
    const [x, y] = [(player.x - low) * scale, size - (player.y - low) * scale];
    paint.fillStyle = player === room.me ? "#c2410c" : "#2563eb";
    paint.beginPath();
    paint.arc(x, y, 6 * devicePixelRatio, 0, 2 * Math.PI);
    paint.fill();
    paint.fillText(`${player.player_id} ${player.score}`, x + 9 * devicePixelRatio, y);
  }
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
addEventListener("pagehide", () => room?.leave());
setInterval(step, 50);
draw();
play();
