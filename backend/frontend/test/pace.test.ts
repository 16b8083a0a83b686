import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pace } from '@zegelpost/upload/pace'

test('nothing is said before anything was measured', () => {
  const pace = new Pace()
  assert.equal(pace.secondsFor(100), undefined)
  pace.note(0, 0)
  pace.note(50, 100)
  assert.equal(pace.secondsFor(100), undefined)
})

test('a steady line is told exactly', () => {
  const pace = new Pace()
  for (let second = 0; second <= 20; second += 1) pace.note(second * 1000, second * 1000)
  assert.ok(Math.abs((pace.secondsFor(60_000) ?? 0) - 60) < 0.001)
})

test('a slower line counts little at first and fully in the end', () => {
  const pace = new Pace()
  for (let second = 0; second <= 20; second += 1) pace.note(second * 1000, second * 1000)
  pace.note(20_100, 21_000)
  const soon = pace.secondsFor(10_000) ?? 0
  assert.ok(soon > 10 && soon < 20, String(soon))
  for (let second = 22; second <= 120; second += 1) pace.note(20_000 + (second - 20) * 100, second * 1000)
  assert.ok(Math.abs((pace.secondsFor(10_000) ?? 0) - 100) < 1)
})

test('falling back after a cut is no negative speed', () => {
  const pace = new Pace()
  pace.note(0, 0)
  pace.note(1000, 1000)
  pace.note(200, 2000)
  pace.note(1200, 3000)
  assert.ok(Math.abs((pace.secondsFor(1000) ?? 0) - 1) < 0.001)
})
