import assert from "node:assert/strict";
import { test } from "node:test";

import { CHARGES, Gun, PILLARS, SHIP_RADIUS, SIZE, aim, fly, shoot, spawn, steer } from "../src/arena.ts";
import { Opponent } from "../src/opponent.ts";

test("a ship stays inside and out of pillars", () => {
  const ship = spawn(0);
  for (const wish of [{ x: -1, y: 0 }, { x: 0, y: -1 }, { x: 1, y: 0 }, { x: 0.6, y: 0.8 }]) {
    for (let step = 0; step < 300; step++) {
      steer(ship, wish, 1 / 60);
      assert.ok(ship.x >= SHIP_RADIUS && ship.x <= SIZE - SHIP_RADIUS && ship.y >= SHIP_RADIUS && ship.y <= SIZE - SHIP_RADIUS);
      for (const pillar of PILLARS) {
        assert.ok(Math.hypot(ship.x - pillar.x, ship.y - pillar.y) >= pillar.radius + SHIP_RADIUS - 1e-6);
      }
    }
  }
});

test("a bolt meets whoever goes on as they did, however seldom one looks", () => {
  const target = { ...spawn(1), vx: 300, vy: 0 };
  for (const look of [16, 90, 400]) {
    const bolt = shoot("b", spawn(0), aim(spawn(0), target), 0);
    let struck = false;
    for (let now = look; now <= 1_600 && !struck; now += look) {
      const at = { x: target.x + (target.vx * now) / 1000, y: target.y };
      const flight = fly(bolt, now, at);
      struck = typeof flight === "object" && "struck" in flight;
    }
    // With long steps the target jumps: what counts is that the bolt does not pass through one that stands.
    if (look <= 90) assert.ok(struck, `looked every ${look} ms`);
  }
  const still = shoot("s", spawn(0), aim(spawn(0), spawn(1)), 0);
  assert.ok("struck" in (fly(still, 1_500, spawn(1)) as object));
});

test("a pillar is cover", () => {
  const [pillar] = PILLARS;
  assert.ok(pillar);
  const from = { x: pillar.x, y: pillar.y + 200 };
  const behind = { x: pillar.x, y: pillar.y - 200, vx: 0, vy: 0 };
  const flight = fly(shoot("p", from, aim(from, behind), 0), 1_000, behind);
  assert.ok(typeof flight === "object" && "blocked" in flight);
});

test("a gun has so many shots, and they come back", () => {
  const gun = new Gun();
  let fired = 0;
  for (let now = 0; now < 600; now += 20) if (gun.fire(now)) fired += 1;
  assert.equal(fired, CHARGES);
  assert.equal(gun.fire(5_000), true);
  assert.equal(Math.round(gun.charges(20_000)), CHARGES);
});

test("an opponent moves smoothly between what is told, and stops when nothing is", () => {
  const opponent = new Opponent();
  assert.equal(opponent.at(0), undefined);
  for (let t = 0; t <= 500; t += 50) opponent.hear({ t, x: t, y: 0, vx: 1000, vy: 0 });
  opponent.hear({ t: 100, x: 9_999, y: 0, vx: 0, vy: 0 });
  for (let now = 150; now <= 600; now += 7) assert.ok(Math.abs((opponent.at(now)?.x ?? 0) - (now - 110)) < 1e-6);
  const lost = opponent.at(5_000)?.x ?? 0;
  assert.equal(lost, opponent.at(50_000)?.x);
  assert.ok(lost < 700);
});
