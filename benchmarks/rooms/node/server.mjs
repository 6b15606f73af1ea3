// A Colyseus server with the sample game of dedicated_server_stub/game.py: the same starting places and the same rules
// for moves. Its only argument is the rate of ticks. What clients see goes out by Colyseus' own state sync.
import { createServer } from "node:http";
import { Room, Server } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { WebSocketTransport } from "@colyseus/ws-transport";

const TICK_HZ = Number(process.argv[2]);
const HALF_SIDE = 50, CEILING = 10, SPEED = 12, CATCH_UP_SECONDS = 0.25;
const REACH_PER_TICK = SPEED / TICK_HZ;
const LONGEST_REACH = Math.max(SPEED * CATCH_UP_SECONDS, 2 * REACH_PER_TICK);

const Player = schema({
  x: t.float32(), y: t.float32(), z: t.float32(), yaw: t.float32(),
  score: t.number(), seq: t.number(), team: t.string(),
}, "Player");
const State = schema({ players: t.map(Player) }, "State");

class Game extends Room {
  onCreate({ players }) {
    this.maxClients = players;
    this.maxMessagesPerSecond = 120;
    this.patchRate = 1000 / TICK_HZ;
    this.state = new State();
    this.reach = new Map(); // how far each player may move now
    this.onMessage("move", (client, move) => this.move(client, move));
    this.setSimulationInterval(() => this.step(), 1000 / TICK_HZ);
  }

  onJoin(client) {
    const entered = this.reach.size;
    const angle = 2.4 * entered, distance = Math.min(1 + entered, 40);
    this.reach.set(client.sessionId, LONGEST_REACH);
    const player = new Player();
    player.x = distance * Math.cos(angle);
    player.y = distance * Math.sin(angle);
    player.z = player.yaw = player.score = player.seq = 0;
    this.state.players.set(client.sessionId, player);
  }

  onLeave(client) {
    this.state.players.delete(client.sessionId);
  }

  step() {
    for (const [id, reach] of this.reach) this.reach.set(id, Math.min(reach + REACH_PER_TICK, LONGEST_REACH));
  }

  move(client, { seq, x, y, z, yaw }) {
    if (![seq, x, y, z, yaw].every(Number.isFinite)) return client.send("rejected", { seq, reason: "invalid_message" });
    const player = this.state.players.get(client.sessionId);
    const reach = this.reach.get(client.sessionId);
    const distance = Math.hypot(x - player.x, y - player.y, z - player.z);
    const inside = Math.abs(x) <= HALF_SIDE && Math.abs(y) <= HALF_SIDE && z >= 0 && z <= CEILING;
    const reason = seq <= player.seq ? "old_seq" : !inside ? "out_of_bounds" : distance > reach ? "too_fast" : null;
    if (reason !== null) return client.send("rejected", { seq, reason });
    this.reach.set(client.sessionId, reach - distance);
    Object.assign(player, { x, y, z, yaw, seq });
  }
}

const http = createServer();
const server = new Server({ transport: new WebSocketTransport({ server: http }), greet: false });
server.define("game", Game).filterBy(["session"]);
await server.listen(0, "127.0.0.1");
console.log(`ready on http://127.0.0.1:${http.address().port}`);
