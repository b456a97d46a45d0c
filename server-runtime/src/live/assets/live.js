// The live view: draws what /live tells, about twenty times a second, smoothly in between.
// It owns what is on the page, and asks the server for one thing only: whose client to watch.
"use strict";

const SHOW_BEHIND_MS = 90; // two frames of the feed: enough to always draw between two known states
const HISTORY = 240; // samples in a sparkline: 12 s
const FRAMES_MAX = 40;
const JUMP_M = 5; // a ship that moves farther within one frame has died, not flown
const EXAGGERATE = 10;
const RETRY_MS = [250, 500, 1000, 2000];

const $ = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const hsl = (hue, light = 62, alpha = 1) => `hsl(${hue} 82% ${light}% / ${alpha})`;
const mix = (a, b, t) => a + (b - a) * t;
const mixAngle = (a, b, t) => a + Math.atan2(Math.sin(b - a), Math.cos(b - a)) * t;
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const isMe = (shape) => watched !== null && shape.label === watched.name;

let frames = []; // {at: ms of arrival, feed}, oldest first
let watched = null; // {player, name}: whose client is shown, as the server confirmed it
let moves = 0; // frames in which some ship was elsewhere than before
let bursts = []; // {x, y, hue, at}: ships that were lost
let sparks = []; // {x, y, at}: shots that met something
let latestNews = 0; // number of the last line of the kill feed
let tracks = new Map(); // shot id → where it was drawn lately
const series = { ms: [], down: [], up: [], error: [] };
const colour = Object.fromEntries(["ground", "line", "text", "soft", "faint", "accent", "good", "warn", "bad"].map((n) => [n, css(`--${n}`)]));

// ---- the line to the server ----

let socket = null;
let failures = 0;

/** Shows the token of the address's part after #, or one that is typed in, and forgets it: what stays is a cookie. */
async function enter() {
  const written = new URLSearchParams(location.hash.slice(1)).get("token");
  if (written) history.replaceState(null, "", location.pathname);
  const known = await fetch("/login", { method: "POST", headers: written ? { authorization: `Bearer ${written}` } : {} });
  if (known.status !== 401) return;
  const typed = prompt("This server's admin token:");
  if (typed) await fetch("/login", { method: "POST", headers: { authorization: `Bearer ${typed.trim()}` } });
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/live`);
  socket.onopen = () => {
    failures = 0;
    showLink("up", "live");
    if (watched) ask(watched.player);
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = () => {
    const wait = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)];
    showLink("down", "reconnecting");
    setTimeout(connect, wait);
  };
}

/** Asks for the view of this player's client. */
function ask(player) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ watch: String(player) }));
}

function showLink(state, text) {
  document.body.dataset.state = state;
  $("link").className = state;
  $("link").lastElementChild.textContent = text;
}

function receive(feed) {
  const before = frames.at(-1)?.feed;
  if (before && feed.t < before.t) [frames, latestNews] = [[], 0]; // a server that was started again
  frames.push({ at: performance.now(), feed });
  if (frames.length > FRAMES_MAX) frames.shift();
  if (before) compare(before, feed);
  if (feed.client) watched = { player: feed.client.player, name: feed.client.name };
  for (const key of ["ms", "down", "up"]) keep(series[key], feed[key] ?? 0);
  keep(series.error, errorOf(feed.client) ?? 0);
  showNews(feed);
  showFigures(feed);
  showPlayers(feed);
}

function keep(list, value) {
  list.push(value);
  if (list.length > HISTORY) list.shift();
}

/** What happened between two frames of the feed: moves, losses, impacts. */
function compare(before, feed) {
  const now = new Map(feed.shapes.map((shape) => [shape.id, shape]));
  let moved = false;
  for (const old of before.shapes) {
    const same = now.get(old.id);
    if (old.kind === "ship" && same) {
      const distance = Math.hypot(same.x - old.x, same.y - old.y);
      moved ||= distance > 0.005;
      if (distance > JUMP_M && old.hp !== 0) bursts.push({ x: old.x, y: old.y, hue: old.hue, at: performance.now() + SHOW_BEHIND_MS });
    }
    if (old.kind === "shot" && !same) sparks.push({ x: old.x, y: old.y, at: performance.now() + SHOW_BEHIND_MS });
  }
  if (moved) moves += 1;
  Object.assign(document.body.dataset, { tick: feed.t, players: feed.players, moves });
}

// ---- figures, players, events ----

/** How far off the prediction was, in metres. A life that the client did not know had ended is no error of prediction. */
const errorOf = (client) => (client?.ghost && client.error <= JUMP_M ? client.error : null);
const bytes = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(2)} MB/s` : n >= 1e3 ? `${(n / 1e3).toFixed(1)} kB/s` : `${Math.round(n)} B/s`);
const metres = (m) => (m >= 1 ? `${m.toFixed(2)} m` : m >= 0.0995 ? `${(m * 100).toFixed(0)} cm` : `${(m * 100).toFixed(1)} cm`);

function showFigures(feed) {
  const left = Math.max(0, Math.ceil(feed.left ?? 0));
  $("clock").textContent = feed.left == null && feed.phase === "running" ? "∞" : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  $("phase").textContent = feed.phase ?? "";
  $("tick").textContent = feed.t.toLocaleString("en");
  $("count").textContent = feed.players;
  if (feed.title) $("title").textContent = feed.title;
  $("ms").textContent = `${feed.ms.toFixed(2)} ms`;
  $("p99").textContent = `${(feed.p99 ?? 0).toFixed(2)} ms`;
  $("budget").textContent = `${budget(feed).toFixed(1)} ms`;
  $("rate").textContent = feed.players ? `${bytes((feed.down ?? 0) / feed.players)} a player` : "–";
  $("down").textContent = bytes(feed.down ?? 0);
  $("up").textContent = bytes(feed.up ?? 0);
  const client = feed.client;
  $("who").textContent = client ? `Client view: ${client.name}` : "Client view";
  $("error").textContent = errorOf(client) == null ? "–" : metres(errorOf(client));
  $("rtt").textContent = client ? `${Math.round(client.rtt)} ms` : "–";
  $("worst").textContent = client ? metres(Math.max(0, ...series.error.slice(-100))) : "–";
  $("missed").textContent = client ? client.mispredictions : "–";
  $("over").className = feed.phase === "ended" ? "on" : "";
  if (feed.phase === "ended") showEnd(feed);
}

const budget = (feed) => 1000 / (feed.hz ?? 60);

const ranked = (feed) => feed.shapes.filter((shape) => shape.kind === "ship").sort((a, b) => (b.score ?? 0) - (a.score ?? 0) || a.id - b.id);

function showEnd(feed) {
  const [first] = ranked(feed);
  $("over").children[0].textContent = first ? `${first.label} wins` : "match over";
  $("over").children[1].textContent = first ? `${first.score} points` : "";
}

/** One row a ship, best first. Rows are kept and moved, so that a click never lands on a row that was just replaced. */
function showPlayers(feed) {
  const body = $("players");
  const rows = new Map([...body.rows].map((row) => [row.dataset.ship, row]));
  ranked(feed).forEach((ship, index) => {
    const row = rows.get(String(ship.id)) ?? newRow(ship);
    rows.delete(String(ship.id));
    const hp = clamp(ship.hp ?? 1, 0, 1);
    row.className = isMe(ship) ? "watched" : "";
    row.cells[0].firstChild.style.background = hsl(ship.hue ?? 200);
    row.cells[0].lastChild.textContent = ship.label ?? ship.id;
    const bar = row.cells[1].firstChild.firstChild;
    bar.style.width = `${hp * 100}%`;
    bar.style.background = hp > 0.5 ? colour.good : hp > 0.25 ? colour.warn : colour.bad;
    row.cells[2].textContent = ship.score ?? 0;
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  });
  for (const row of rows.values()) row.remove();
}

function newRow(ship) {
  const row = document.createElement("tr");
  row.dataset.ship = ship.id;
  row.innerHTML = '<td class="name"><i></i><span></span></td><td><span class="bar"><i></i></span></td><td></td>';
  row.addEventListener("click", () => ship.player && ask(ship.player));
  return row;
}

/** The kill feed: shapes of kind "news" have a number that goes up and a line of text, names parted by a cross. */
function showNews(feed) {
  const hues = new Map(feed.shapes.filter((shape) => shape.kind === "ship").map((ship) => [ship.label, ship.hue]));
  for (const news of feed.shapes.filter((shape) => shape.kind === "news" && shape.id > latestNews)) {
    latestNews = news.id;
    const line = document.createElement("li");
    news.label.split(" ✕ ").forEach((name, index) => {
      if (index) line.append(Object.assign(document.createElement("span"), { className: "x", textContent: "✕" }));
      line.append(Object.assign(document.createElement("b"), { textContent: name, style: `color:${hsl(hues.get(name) ?? 200, 70)}` }));
    });
    $("feed").append(line);
    while ($("feed").children.length > 5) $("feed").firstChild.remove();
    setTimeout(() => line.remove(), 8000);
  }
}

// ---- drawing ----

/** A canvas' context, sized to its box in device pixels. */
function surface(canvas) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const paint = canvas.getContext("2d");
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.clearRect(0, 0, width, height);
  return { paint, width, height };
}

/** The shapes a little in the past, between the two frames around that moment. */
function shapesAt(now) {
  const at = now - SHOW_BEHIND_MS;
  let index = frames.length - 1;
  while (index > 0 && frames[index].at > at) index -= 1;
  const [older, newer] = [frames[index], frames[index + 1] ?? frames[index]];
  if (!older) return null;
  const t = newer.at > older.at ? clamp((at - older.at) / (newer.at - older.at), 0, 1) : 1;
  const target = new Map(newer.feed.shapes.map((shape) => [shape.id, shape]));
  const shapes = older.feed.shapes.map((shape) => {
    const next = shape.id && target.get(shape.id); // id 0: part of the ground
    if (!next || (shape.kind === "ship" && Math.hypot(next.x - shape.x, next.y - shape.y) > JUMP_M)) return shape;
    return { ...next, x: mix(shape.x, next.x, t), y: mix(shape.y, next.y, t), a: mixAngle(shape.a ?? 0, next.a ?? 0, t) };
  });
  return { feed: older.feed, shapes, client: mixClient(older.feed.client, newer.feed.client, t) };
}

function mixClient(older, newer, t) {
  if (!older?.ghost || !newer?.ghost || older.player !== newer.player || !older.truth || !newer.truth) return newer?.ghost ? newer : null;
  const pose = (a, b) => ({ x: mix(a.x, b.x, t), y: mix(a.y, b.y, t), a: mixAngle(a.a, b.a, t) });
  if (Math.hypot(newer.truth.x - older.truth.x, newer.truth.y - older.truth.y) > JUMP_M) return newer;
  return { ...newer, ghost: pose(older.ghost, newer.ghost), truth: pose(older.truth, newer.truth) };
}

function drawArena(now) {
  const { paint, width, height } = surface($("arena"));
  const seen = shapesAt(now);
  const [w, h] = seen?.feed.bounds ?? [128, 72];
  const scale = Math.min((width - 12) / w, (height - 12) / h);
  // World: metres, the centre at the origin, y upwards. Below it there is the kill feed, if there is room.
  paint.translate(width / 2, 6 + (h * scale) / 2);
  $("feed").style.top = `${Math.min(h * scale + 34, height - 120)}px`;
  $("over").style.height = `${h * scale}px`;
  paint.scale(scale, -scale);
  drawGround(paint, w, h, scale);
  if (!seen) return;
  const of = (kind) => seen.shapes.filter((shape) => shape.kind === kind);
  of("rock").forEach((rock) => drawRock(paint, rock));
  of("pickup").forEach((pickup) => drawPickup(paint, pickup, now));
  drawShots(paint, of("shot"));
  of("ship").forEach((ship) => drawShip(paint, ship, scale));
  if (seen.client) drawGhost(paint, seen.client, of("ship"), scale);
  drawFlashes(paint, now);
}

function drawGround(paint, w, h, scale) {
  const ground = paint.createRadialGradient(0, 0, 0, 0, 0, w * 0.6);
  ground.addColorStop(0, "#131f38");
  ground.addColorStop(1, "#0b1222");
  paint.fillStyle = ground;
  const edge = new Path2D();
  edge.roundRect(-w / 2, -h / 2, w, h, 1.2);
  paint.fill(edge);
  paint.save();
  paint.clip(edge);
  for (let x = -Math.floor(w / 16) * 8; x < w / 2; x += 8) line(paint, x, -h / 2, x, h / 2, x % 32 === 0 ? "#2b3d6488" : "#1c2a4777", 1 / scale);
  for (let y = -Math.floor(h / 16) * 8; y < h / 2; y += 8) line(paint, -w / 2, y, w / 2, y, y % 32 === 0 ? "#2b3d6488" : "#1c2a4777", 1 / scale);
  paint.restore();
  paint.strokeStyle = "#3a5285";
  paint.lineWidth = 2 / scale;
  paint.stroke(edge);
}

function line(paint, x1, y1, x2, y2, style, width) {
  paint.strokeStyle = style;
  paint.lineWidth = width;
  paint.beginPath();
  paint.moveTo(x1, y1);
  paint.lineTo(x2, y2);
  paint.stroke();
}

function disc(paint, x, y, r, style) {
  paint.fillStyle = style;
  paint.beginPath();
  paint.arc(x, y, r, 0, Math.PI * 2);
  paint.fill();
}

/** A rock: its exact circle, because that is what ships collide with, with facets that depend on where it lies. */
function drawRock(paint, { x, y, r }) {
  const shade = paint.createRadialGradient(x - r * 0.35, y + r * 0.4, r * 0.1, x, y, r);
  shade.addColorStop(0, "#5d6a86");
  shade.addColorStop(0.65, "#3a455e");
  shade.addColorStop(1, "#262f45");
  disc(paint, x, y, r, shade);
  paint.save();
  paint.clip();
  let seed = Math.abs(Math.sin(x * 12.9898 + y * 78.233)) * 1000;
  const random = () => (seed = (seed * 16807 + 7) % 2147483647) / 2147483647;
  for (let crater = 0; crater < 5; crater += 1) {
    const [angle, out, size] = [random() * 6.3, Math.sqrt(random()) * r * 0.8, r * (0.1 + random() * 0.16)];
    disc(paint, x + Math.cos(angle) * out, y + Math.sin(angle) * out, size, "#1f283c66");
    disc(paint, x + Math.cos(angle) * out + size * 0.15, y + Math.sin(angle) * out - size * 0.2, size * 0.8, "#48546f55");
  }
  paint.restore();
  paint.strokeStyle = "#66759988";
  paint.lineWidth = 0.16;
  paint.beginPath();
  paint.arc(x, y, r - 0.08, 0, Math.PI * 2);
  paint.stroke();
}

function drawPickup(paint, pickup, now) {
  const pulse = 0.5 + 0.5 * Math.sin(now / 260 + pickup.id);
  const hue = pickup.hue ?? 50;
  const r = pickup.r ?? 0.9;
  disc(paint, pickup.x, pickup.y, r * (1.7 + pulse * 0.5), hsl(hue, 60, 0.1 + pulse * 0.06));
  paint.save();
  paint.translate(pickup.x, pickup.y);
  paint.fillStyle = hsl(hue, 64);
  if (pickup.label === "health") {
    paint.fillRect(-r, -r * 0.32, r * 2, r * 0.64);
    paint.fillRect(-r * 0.32, -r, r * 0.64, r * 2);
  } else {
    paint.rotate(now / 900 + pickup.id);
    paint.beginPath();
    paint.moveTo(0, r);
    paint.lineTo(r * 0.75, 0);
    paint.lineTo(0, -r);
    paint.lineTo(-r * 0.75, 0);
    paint.fill();
  }
  paint.restore();
}

function drawShots(paint, shots) {
  const alive = new Set();
  paint.lineCap = "round";
  for (const { id, x, y, hue } of shots) {
    alive.add(id);
    const track = tracks.get(id) ?? [];
    tracks.set(id, track);
    track.push([x, y]);
    if (track.length > 9) track.shift();
    const [tailX, tailY] = track[0];
    const fade = paint.createLinearGradient(tailX, tailY, x, y);
    fade.addColorStop(0, hsl(hue ?? 45, 70, 0));
    fade.addColorStop(1, hsl(hue ?? 45, 75, 0.95));
    line(paint, tailX, tailY, x + 0.01, y, fade, 0.42);
    disc(paint, x, y, 0.3, "#fff");
  }
  for (const id of tracks.keys()) if (!alive.has(id)) tracks.delete(id);
}

function hull(paint, r) {
  paint.beginPath();
  paint.moveTo(r * 1.25, 0);
  paint.lineTo(-r * 0.85, r * 0.9);
  paint.lineTo(-r * 0.45, 0);
  paint.lineTo(-r * 0.85, -r * 0.9);
  paint.closePath();
}

function drawShip(paint, ship, scale) {
  const [hue, r, waits] = [ship.hue ?? 200, ship.r ?? 1.2, ship.hp === 0];
  paint.save();
  paint.translate(ship.x, ship.y);
  if (!waits) {
    const glow = paint.createRadialGradient(0, 0, 0, 0, 0, r * 2.6);
    glow.addColorStop(0, hsl(hue, 60, 0.38));
    glow.addColorStop(1, hsl(hue, 60, 0));
    disc(paint, 0, 0, r * 2.6, glow);
  }
  paint.globalAlpha = waits ? 0.28 : 1;
  paint.save();
  paint.rotate(ship.a ?? 0);
  hull(paint, r);
  paint.fillStyle = hsl(hue, 58);
  paint.fill();
  paint.strokeStyle = isMe(ship) ? "#fff" : hsl(hue, 82);
  paint.lineWidth = 0.16;
  paint.lineJoin = "round";
  paint.stroke();
  paint.restore();
  if (isMe(ship)) {
    paint.strokeStyle = "#ffffff66";
    paint.lineWidth = 1.2 / scale;
    paint.setLineDash([5 / scale, 5 / scale]);
    paint.beginPath();
    paint.arc(0, 0, r * 2.1, 0, Math.PI * 2);
    paint.stroke();
    paint.setLineDash([]);
  }
  drawLabel(paint, ship, r, scale, waits);
  paint.restore();
}

/** Name and health, in pixels of the screen so that they stay readable at every size. */
function drawLabel(paint, ship, r, scale, waits) {
  const size = clamp(scale * 1.15, 10, 14);
  paint.scale(1 / scale, -1 / scale);
  paint.font = `600 ${size}px Inter, "Segoe UI", system-ui, "DejaVu Sans", sans-serif`;
  paint.textAlign = "center";
  paint.fillStyle = "#05080fcc";
  paint.fillText(ship.label ?? "", 1, -r * 1.7 * scale - 5);
  paint.fillStyle = isMe(ship) ? "#fff" : hsl(ship.hue ?? 200, 82);
  paint.fillText(ship.label ?? "", 0, -r * 1.7 * scale - 6);
  if (waits) return;
  const [w, hp] = [Math.max(26, r * 2.6 * scale), clamp(ship.hp ?? 1, 0, 1)];
  paint.fillStyle = "#05080fb0";
  paint.fillRect(-w / 2 - 1, -r * 1.7 * scale - 1, w + 2, 5);
  paint.fillStyle = hp > 0.5 ? colour.good : hp > 0.25 ? colour.warn : colour.bad;
  paint.fillRect(-w / 2, -r * 1.7 * scale, w * hp, 3);
}

/**
 * The watched client's prediction, outlined. The server's ship is drawn for a moment that lies between two frames, the
 * prediction belongs to an exact tick: what is shown is the ship as drawn plus the error of that tick.
 */
function drawGhost(paint, client, ships, scale) {
  const ship = ships.find(isMe);
  if (!ship || !client.truth || ship.hp === 0 || errorOf(client) == null) return;
  paint.save();
  paint.translate(ship.x + client.ghost.x - client.truth.x, ship.y + client.ghost.y - client.truth.y);
  paint.rotate((ship.a ?? 0) + client.ghost.a - client.truth.a);
  hull(paint, (ship.r ?? 1.2) * 1.3);
  paint.strokeStyle = "#fff";
  paint.lineWidth = 1.6 / scale;
  paint.stroke();
  paint.restore();
  paint.save();
  paint.translate(ship.x, ship.y);
  paint.scale(1 / scale, -1 / scale);
  paint.font = "600 11px ui-monospace, 'DejaVu Sans Mono', monospace";
  paint.textAlign = "center";
  paint.fillStyle = "#fff";
  paint.fillText(metres(client.error ?? 0), 0, (ship.r ?? 1.2) * 2.1 * scale + 14);
  paint.restore();
}

function drawFlashes(paint, now) {
  bursts = bursts.filter((burst) => now - burst.at < 900);
  sparks = sparks.filter((spark) => now - spark.at < 220);
  for (const { x, y, at } of sparks) {
    const t = (now - at) / 220;
    if (t >= 0) disc(paint, x, y, 0.4 + t * 0.9, `rgb(255 226 150 / ${0.75 * (1 - t)})`);
  }
  for (const { x, y, hue, at } of bursts) {
    const t = (now - at) / 900;
    if (t < 0) continue;
    disc(paint, x, y, 1 + t * 5, hsl(hue ?? 30, 65, 0.35 * (1 - t) ** 2));
    paint.strokeStyle = hsl(hue ?? 30, 75, 0.8 * (1 - t));
    paint.lineWidth = 0.5 * (1 - t);
    paint.beginPath();
    paint.arc(x, y, 1 + Math.sqrt(t) * 6, 0, Math.PI * 2);
    paint.stroke();
    for (let ray = 0; ray < 11; ray += 1) {
      const [angle, speed] = [ray * 2.399 + x, 4 + ((ray * 37) % 11) * 0.55];
      disc(paint, x + Math.cos(angle) * speed * Math.sqrt(t), y + Math.sin(angle) * speed * Math.sqrt(t), 0.32 * (1 - t), "#ffe6b8");
    }
  }
}

/** The watched ship, large. Prediction and truth are centimetres apart and its hull is metres wide: the distance is drawn ten times over. */
function drawLens(now) {
  const { paint, width, height } = surface($("lens"));
  paint.fillStyle = "#0a101d";
  paint.fillRect(0, 0, width, height);
  const seen = shapesAt(now);
  const client = seen?.client;
  paint.font = "11px ui-monospace, 'DejaVu Sans Mono', monospace";
  if (!client?.truth || errorOf(client) == null) {
    paint.fillStyle = colour.faint;
    paint.textAlign = "center";
    paint.fillText(client?.ghost ? "another life" : "no prediction told", width / 2, height / 2);
    return;
  }
  const scale = height / 4.4; // pixels a metre: the hull fills the glass
  paint.translate(width / 2, height / 2);
  paint.fillStyle = colour.faint;
  for (const ring of [0.5, 1, 1.5, 2]) {
    paint.strokeStyle = "#1d2a46";
    paint.beginPath();
    paint.arc(0, 0, ring * scale, 0, Math.PI * 2);
    paint.stroke();
  }
  paint.textAlign = "left";
  paint.fillText(`error ×${EXAGGERATE}`, 8 - width / 2, height / 2 - 8);
  const hue = seen.shapes.find(isMe)?.hue ?? 200;
  paint.scale(scale, -scale);
  paint.save();
  paint.rotate(client.truth.a);
  hull(paint, 1.2);
  paint.fillStyle = hsl(hue, 55, 0.8);
  paint.fill();
  paint.restore();
  paint.save();
  const [dx, dy] = [client.ghost.x - client.truth.x, client.ghost.y - client.truth.y];
  paint.translate(clamp(dx * EXAGGERATE, -2, 2), clamp(dy * EXAGGERATE, -1.8, 1.8));
  paint.rotate(client.ghost.a);
  hull(paint, 1.2);
  paint.strokeStyle = "#fff";
  paint.lineWidth = 2 / scale;
  paint.stroke();
  paint.restore();
}

/** Lines over time, the newest at the right; `limit` is drawn across when it is near. */
function sparkline(id, lists, limit, floor) {
  const { paint, width, height } = surface($(id));
  const top = Math.max(floor, ...lists.flatMap(({ values }) => values)) * 1.12;
  const y = (value) => height - 2 - (value / top) * (height - 4);
  const x = (index, count) => width - ((count - 1 - index) / (HISTORY - 1)) * width;
  if (limit && limit <= top) {
    paint.setLineDash([4, 4]);
    line(paint, 0, y(limit), width, y(limit), "#ff6b7d99", 1);
    paint.setLineDash([]);
  }
  line(paint, 0, height - 1.5, width, height - 1.5, "#22304d", 1);
  for (const { values, style } of lists) {
    if (values.length < 2) continue;
    paint.beginPath();
    values.forEach((value, index) => paint.lineTo(x(index, values.length), y(value)));
    paint.strokeStyle = style;
    paint.lineWidth = 1.6;
    paint.lineJoin = "round";
    paint.stroke();
    paint.lineTo(width, height);
    paint.lineTo(x(0, values.length), height);
    paint.globalAlpha = 0.13;
    paint.fillStyle = style;
    paint.fill();
    paint.globalAlpha = 1;
  }
}

function draw(now) {
  drawArena(now);
  drawLens(now);
  const feed = frames.at(-1)?.feed;
  const limit = feed ? budget(feed) : 16.7;
  sparkline("ticks", [{ values: series.ms, style: colour.accent }], limit, limit);
  sparkline("bytes", [{ values: series.down, style: colour.good }, { values: series.up, style: "#b58cff" }], null, 1);
  sparkline("errors", [{ values: series.error, style: "#dbe4f5" }], null, 0.05);
  requestAnimationFrame(draw);
}

enter().catch(() => {}).finally(connect);
requestAnimationFrame(draw);
