// Two players of the page's own client find a match, play and see each other move. Arguments: client.js, the address.
const [, , client, url] = process.argv;
const { Room, findMatch } = await import(client);

const names = ["web-1", "web-2"];
const found = await Promise.all(names.map((name) => findMatch(url, name, "Normal_1v1", () => {})));
const ended = [];
const rooms = found.map(
  (match) => new Room(match, { onChange: () => {}, onEnd: (result, code) => ended.push({ result, code }) }),
);

async function until(condition) {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const [one, two] = rooms;
await until(() => rooms.every((room) => room.me && room.players.size === 2));
one.me.x -= 0.25;
one.move({ x: one.me.x, y: one.me.y, z: 0, yaw: 0 });
await until(() => Math.abs(two.players.get("web-1").x - one.me.x) < 0.001);
one.tag("web-2");
await until(() => two.players.get("web-1").score === 1 && one.me.score === 1);
two.say("well done");
await until(() => one.chat.some((line) => line.text === "well done"));
const before = two.me.x;
two.me.x += 40;
two.move({ x: two.me.x, y: two.me.y, z: 0, yaw: 0 });
await until(() => two.me.x === before);
for (const room of rooms) room.leave();
await until(() => ended.length === 2);
console.log(JSON.stringify(ended));
