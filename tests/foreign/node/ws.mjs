// npm's ws: offers compression, sends each message in two fragments.
import WebSocket from "ws";
import { journey } from "./journey.mjs";

const [url, playerId] = process.argv.slice(2);
const socket = new WebSocket(url, ["x", "match.v1"], { perMessageDeflate: true });
const send = (text) => {
  socket.send(text.slice(0, 5), { fin: false });
  socket.send(text.slice(5), { fin: true });
};
const player = journey(playerId, send, () => socket.close(1000));
socket.on("open", () => player.opened());
socket.on("message", (data) => player.message(data.toString()));
socket.on("close", (code) => player.closed(code, socket.protocol));
