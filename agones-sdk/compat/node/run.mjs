// The official Node client's whole call list (stable, beta, alpha) against the sidecar that the environment names.
// With the argument "players" player tracking is expected to be on, without it off.
// Exits with 0 when every answer was as documented; the sidecar's conformance mode judges the calls themselves.
import assert from "node:assert/strict";
import AgonesSDK from "@google-cloud/agones-sdk";

const sdk = new AgonesSDK();
await sdk.connect();

const seen = new Promise((resolve, reject) => sdk.watchGameServer(resolve, reject));
assert.equal((await seen).objectMeta.name, "local");

let healthFailed;
sdk.health((error) => { healthFailed = error; });
await sdk.ready();

const server = await sdk.getGameServer();
assert.equal(server.status.state, "Ready");
await sdk.setLabel("foo", String(server.objectMeta.creationTimestamp));
await sdk.setAnnotation("bar", server.objectMeta.uid);
await sdk.reserve(5);
assert.equal((await sdk.getGameServer()).status.state, "Reserved");
await sdk.allocate();

assert.equal(await sdk.beta.getCounterCount("rooms"), 1);
await sdk.beta.incrementCounter("rooms", 3);
await sdk.beta.decrementCounter("rooms", 2);
assert.equal(await sdk.beta.getCounterCount("rooms"), 2);
await sdk.beta.setCounterCapacity("rooms", 20);
await sdk.beta.setCounterCount("rooms", 4);
assert.equal(await sdk.beta.getCounterCapacity("rooms"), 20);
await assert.rejects(sdk.beta.incrementCounter("rooms", 100), /out of range/);
await assert.rejects(sdk.beta.getCounterCount("nope"), /not found/);

assert.equal(await sdk.beta.getListCapacity("players"), 100);
await sdk.beta.appendListValue("players", "p9");
assert.equal(await sdk.beta.listContains("players", "p9"), true);
await sdk.beta.deleteListValue("players", "test0");
assert.deepEqual(await sdk.beta.getListValues("players"), ["test1", "test2", "p9"]);
assert.equal(await sdk.beta.getListLength("players"), 3);
await sdk.beta.setListCapacity("players", 50);
await assert.rejects(sdk.beta.appendListValue("players", "p9"), /already exists/);

if (process.argv[2] === "players") {
  // The conformance mode counts these calls with this player alone.
  await sdk.alpha.setPlayerCapacity(2);
  assert.equal(await sdk.alpha.getPlayerCapacity(), 2);
  assert.equal(await sdk.alpha.playerConnect("1234"), true);
  assert.equal(await sdk.alpha.playerConnect("1234"), false);
  assert.equal(await sdk.alpha.isPlayerConnected("1234"), true);
  assert.equal(await sdk.alpha.getPlayerCount(), 1);
  assert.deepEqual(await sdk.alpha.getConnectedPlayers(), ["1234"]);
  assert.equal(await sdk.alpha.playerDisconnect("1234"), true);
} else {
  // Player tracking is off, as it is upstream.
  const off = /PlayerTracking not enabled/;
  await assert.rejects(sdk.alpha.playerConnect("p"), off);
  await assert.rejects(sdk.alpha.playerDisconnect("p"), off);
  await assert.rejects(sdk.alpha.setPlayerCapacity(2), off);
  await assert.rejects(sdk.alpha.getPlayerCapacity(), off);
  await assert.rejects(sdk.alpha.getPlayerCount(), off);
  await assert.rejects(sdk.alpha.isPlayerConnected("p"), off);
  await assert.rejects(sdk.alpha.getConnectedPlayers(), off);
}

await sdk.shutdown();
assert.equal(healthFailed, undefined);
sdk.close();
console.log("the official Node client 1.61.0 got every answer that it is documented to get");
process.exit(0);
