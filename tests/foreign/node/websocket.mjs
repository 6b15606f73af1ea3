// npm's websocket: sends each message in fragments of 16 bytes.
import websocket from "websocket";
import { journey } from "./journey.mjs";

const [url, playerId] = process.argv.slice(2);
const client = new websocket.client({ fragmentOutgoingMessages: true, fragmentationThreshold: 16 });
client.on("connect", (connection) => {
  const player = journey(playerId, (text) => connection.sendUTF(text), () => connection.close(1000));
  connection.on("message", (message) => player.message(message.utf8Data));
  connection.on("close", (code) => player.closed(code, connection.protocol));
  player.opened();
});
client.connect(url, ["x", "match.v1"]);
