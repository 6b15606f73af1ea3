// Players of the Colyseus server, by its own SDK, which joins, sends and decodes.
import WebSocket from "ws";

globalThis.WebSocket = WebSocket; // the same client as for the other server, whatever this version of node brings
const { Client } = await import("@colyseus/sdk");

export async function prepare({ address, roomPlayers }) {
  const client = new Client(address);
  return async ({ room: session }) => {
    const room = await client.joinOrCreate("game", { session, players: roomPlayers });
    let rejected = 0;
    room.onMessage("rejected", () => rejected++);
    await new Promise((resolve) => room.onStateChange.once(resolve));
    const { x, y } = room.state.players.get(room.sessionId);
    const told = room.connection.events.onmessage;
    return {
      ws: room.connection.transport.ws,
      id: room.sessionId,
      x,
      y,
      move: (seq, x, y, z, yaw) => room.send("move", { seq, x, y, z, yaw }),
      read: (data) => {
        rejected = 0;
        told({ data });
        return { seqs: [...room.state.players].map(([id, { seq }]) => [id, seq]), rejected };
      },
    };
  };
}
