// Players of dedicated-server-stub, in either form of its frames, by the schema that it publishes.
import protobuf from "protobufjs";
import WebSocket from "ws";

export async function prepare({ kind, schema }) {
  const root = protobuf.loadSync(schema);
  const [Client, Room] = ["ClientMessage", "ServerMessage"].map((name) => root.lookupType(`room.v1.${name}`));
  const thousandths = (value) => Math.round(1000 * value);
  const forms = {
    protobuf: {
      write: (type, { x, y, z, yaw, ...rest }) =>
        Client.encode({
          [type]: type === "move"
            ? { ...rest, x: thousandths(x), y: thousandths(y), z: thousandths(z), yaw: thousandths(yaw) }
            : rest,
        }).finish(),
      read: (data) => {
        const message = Room.decode(data);
        return { type: message.message, ...message[message.message] };
      },
      scale: 1000,
    },
    json: {
      write: (type, fields) => JSON.stringify({ type, ...fields }),
      read: (data) => JSON.parse(data),
      scale: 1,
    },
  };
  const { write, read, scale } = forms[kind];
  const idOf = (player) => player.playerId ?? player.player_id;
  const seqsOf = ({ type, players, changes = [] }, ids) => {
    if (type !== "state") return [];
    for (const one of players) ids.set(one.number, idOf(one));
    const whole = players.map((one) => [idOf(one), one.seq]);
    return [...whole, ...changes.flatMap(({ number, seq }) => number.map((each, at) => [ids.get(each), seq[at]]))];
  };
  return ({ address, token, player }) =>
    new Promise((resolve, reject) => {
      const ws = new WebSocket(address, [`room.v1.${kind}`], { perMessageDeflate: false });
      ws.onopen = () => ws.send(write("join", { joinToken: token, join_token: token }));
      ws.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
      ws.onmessage = ({ data }) => {
        ws.onmessage = (later) => seqsOf(read(later.data), ids); // until load.mjs sets its own
        const { players } = read(data);
        const me = players.find((one) => idOf(one) === player);
        const ids = new Map(players.map((one) => [one.number, idOf(one)]));
        resolve({
          ws,
          id: player,
          x: me.x / scale,
          y: me.y / scale,
          move: (seq, x, y, z, yaw) => ws.send(write("move", { seq, x, y, z, yaw })),
          read: (frame) => {
            const message = read(frame);
            return { seqs: seqsOf(message, ids), rejected: Number(message.type === "rejected" || message.type === "error") };
          },
        });
      };
    });
}
