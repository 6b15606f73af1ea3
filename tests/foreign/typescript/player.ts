// A player whose messages are generated from room.proto: joins, moves, chats, and prints the world that it has seen.
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import WebSocket from "ws";
import { ClientMessageSchema, ServerMessageSchema, type Changes, type PlayerState } from "./generated/room_pb.js";

const [url, joinToken, steps] = process.argv.slice(2) as [string, string, string];
const socket = new WebSocket(url, ["room.v1.protobuf"]);
const world = new Map<string, Partial<PlayerState>>();
const chat: string[] = [];
let me = "";
let seq = 0;

type Message = MessageInitShape<typeof ClientMessageSchema>["message"];
const send = (message: Message) => socket.send(toBinary(ClientMessageSchema, create(ClientMessageSchema, { message })));

const ids = new Map<number, string>(); // by number, of the players who were told in full

// Take over what a state says; return of whom.
function merge(players: PlayerState[], changes: Changes[] = []): string[] {
  for (const player of players) {
    const changed = Object.entries(player).filter(([, value]) => value !== undefined);
    world.set(player.playerId, { ...world.get(player.playerId), ...Object.fromEntries(changed) });
    if (player.number !== undefined) ids.set(player.number, player.playerId);
  }
  const told = players.map((player) => player.playerId);
  for (const table of changes) {
    table.number.forEach((number, index) => {
      told.push(ids.get(number)!);
      const player = world.get(ids.get(number)!)!;
      for (const field of ["x", "y", "z", "yaw", "score", "seq"] as const) {
        if (table[field].length > 0) player[field] = table[field][index]!;
      }
    });
  }
  return told;
}

function step() {
  const { x = 0, y = 0, z = 0, yaw = 0 } = world.get(me)!;
  send({ case: "move", value: { seq: ++seq, x: x + (x > 0 ? -100 : 100), y, z, yaw } });
}

socket.on("open", () => send({ case: "join", value: { joinToken } }));
socket.on("message", (data: Buffer) => {
  const { message } = fromBinary(ServerMessageSchema, data);
  switch (message.case) {
    case "welcome":
      me = message.value.playerId;
      merge(message.value.players);
      seq = world.get(me)!.seq ?? 0;
      step();
      break;
    case "state":
      const told = merge(message.value.players, message.value.changes);
      if (message.value.full) {
        const places = [...world].map(([id, { x, y, z, seq }]) => [id, { x, y, z, seq }]);
        console.log(JSON.stringify({ protocol: socket.protocol, world: Object.fromEntries(places), chat }));
        send({ case: "leave", value: {} });
      } else if (told.includes(me)) {
        // One step for each that is applied, so that none is too fast.
        seq < Number(steps) ? step() : send({ case: "chat", value: { text: "done" } });
      }
      break;
    case "chat":
      chat.push(message.value.text);
      if (message.value.text === "look") send({ case: "snapshot", value: {} }); // the other player has stopped moving
      break;
    case "tagged":
    case "notice":
    case "ended":
      send({ case: "ack", value: { id: message.value.id } });
      break;
    case "rejected":
    case "error":
      console.error(message.case, message.value);
      process.exitCode = 1;
      socket.close();
  }
});
socket.on("close", (code) => {
  if (code !== 1000) process.exitCode = 1;
});
