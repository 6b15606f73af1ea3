// The WebSocket of browsers, as undici has it: offers compression.
import { WebSocket } from "undici";
import { journey } from "./journey.mjs";

const [url, playerId] = process.argv.slice(2);
const socket = new WebSocket(url, ["x", "match.v1"]);
const player = journey(playerId, (text) => socket.send(text), () => socket.close(1000));
socket.onopen = () => player.opened();
socket.onmessage = (event) => player.message(event.data);
socket.onclose = (event) => player.closed(event.code, socket.protocol);
