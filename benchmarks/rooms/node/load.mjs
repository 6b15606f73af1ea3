// The players of both servers, in one process. While they play, a frame is stamped and kept; what it says is read
// afterwards, so that both servers meet a client that costs the same.
//
// In, one JSON document a line: the plan, then anything to begin. Out: {"connected"}, {"began"}, {"ended"}, the result.
import { createInterface } from "node:readline";
import WebSocket from "ws";

const RADIUS = 2, STEP = 0.1; // of the circle on which each moves, around its starting place
const CONNECTING = 50; // at a time
const SETTLE_MS = 1000; // after the last move, until nothing more is on its way

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const hear = async () => JSON.parse((await lines.next()).value);
const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const plan = await hear();
const adapter = await import(plan.kind === "colyseus" ? "./colyseus.mjs" : "./ours.mjs");
const connect = await adapter.prepare(plan);

const players = new Array(plan.players.length);
for (let first = 0; first < players.length; first += CONNECTING) {
  const some = plan.players.slice(first, first + CONNECTING).map(async (seat, index) => {
    players[first + index] = Object.assign(await connect(seat), { room: seat.room, seq: 0, sentAt: [], kept: [] });
  });
  await Promise.all(some);
}
const broken = [];
for (const player of players) {
  player.ws.onmessage = ({ data }) => player.kept.push(performance.now(), data);
  player.ws.onclose = ({ code }) => broken.push(code);
}
say({ connected: players.length });
await hear();

// Everybody moves at the rate of the plan, one after another; a late timer sends what is due at once.
const period = 1000 / plan.moveHz;
const start = performance.now();
let count = 0;
function sendDue() {
  const due = ((performance.now() - start) / period) * players.length;
  for (; count < due; count++) move(players[count % players.length]);
}
function move(player) {
  const seq = ++player.seq, angle = (STEP / RADIUS) * seq;
  player.sentAt[seq] = performance.now();
  const x = player.x + RADIUS * (Math.cos(angle) - 1), y = player.y + RADIUS * Math.sin(angle);
  player.move(seq, x, y, 0, (angle + Math.PI / 2) % (2 * Math.PI));
}
const bytesRead = () => players.reduce((sum, { ws }) => sum + ws._socket.bytesRead, 0);
const playing = setInterval(sendDue, 1);
await sleep(1000 * plan.warmUpSeconds);
const [from, movesBefore, bytesBefore] = [performance.now(), count, bytesRead()];
say({ began: true });
await sleep(1000 * plan.seconds);
const [until, movesAfter, bytesAfter] = [performance.now(), count, bytesRead()];
say({ ended: true });
clearInterval(playing);
await sleep(SETTLE_MS);

// What each saw of the others, and when.
const byId = new Map(players.map((player) => [player.id, player]));
const latencies = [];
let frames = 0, rejected = 0, unseen = 0;
for (const player of players) {
  const seen = new Map();
  for (let index = 0; index < player.kept.length; index += 2) {
    const at = player.kept[index];
    if (at >= from && at < until) frames++;
    const told = player.read(player.kept[index + 1]);
    rejected += told.rejected;
    for (const [id, seq] of told.seqs) {
      if (!(seq > (seen.get(id) ?? 0))) continue;
      seen.set(id, seq);
      const sentAt = byId.get(id).sentAt[seq];
      if (id !== player.id && sentAt >= from && sentAt < until) latencies.push(at - sentAt);
    }
  }
  player.kept = null;
  for (const other of players) if (other.room === player.room && seen.get(other.id) !== other.seq) unseen++;
}
const sorted = Float64Array.from(latencies).sort();
const at = (share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
say({
  seconds: (until - from) / 1000,
  moves: movesAfter - movesBefore,
  bytes: bytesAfter - bytesBefore,
  frames,
  updates: sorted.length,
  update_p50_ms: at(0.5),
  update_p99_ms: at(0.99),
  update_max_ms: at(1),
  rejected,
  unseen, // pairs of a player and another whose last move it never saw
  broken: broken.length,
});
process.exit(0);
