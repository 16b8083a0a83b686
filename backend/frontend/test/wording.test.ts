import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readLabels, Wording } from '../src/islands/document-wording'

const LABELS = {
  waiting: 'Wacht', uploading: 'Bezig: {percent}', minutesLeft: 'Bezig: {percent}, nog {minutes} min.', paused: 'Gepauzeerd bij {percent}',
  offline: 'Geen verbinding', done: 'Ontvangen', damaged: 'Beschadigd', unreadable: 'Onleesbaar', signedOut: 'Uitgelogd', failed: 'Mislukt', tooLarge: 'Maximaal {limit}', empty: 'Leeg', folder: 'Map',
  extensionNotAllowed: 'Geen .{extension}', noExtension: 'Geen soort', resume: 'Ga verder', retry: 'Opnieuw',
  announceDone: '{name} is ontvangen.', announceFailed: '{name}: {reason}', removeFailed: 'Niet verwijderd',
  onItsWay: 'Onderweg', leftOver: 'Niet alles',
}
const wording = new Wording(readLabels(JSON.stringify(LABELS)), 'nl')

test('a label that the template forgot is noticed at once', () => {
  assert.throws(() => readLabels(JSON.stringify({ ...LABELS, retry: undefined })), /retry/)
})

// The same table as in tests/web/test_rendering.py: both sides of a page write sizes alike.
for (const [bytes, expected] of [
  [0, '0 byte'], [999, '999 byte'], [1_000, '1 kB'], [220_400, '220 kB'], [999_499, '999 kB'], [999_500, '1 MB'],
  [1_234_567, '1,2 MB'], [999_960_000, '1 GB'], [3_800_000_000, '3,8 GB'], [20_000_000_000, '20 GB'],
] as const) {
  test(`${bytes} bytes`, () => assert.equal(wording.size(bytes), expected))
}

test('progress is told in whole percents, never 100 before it is done', () => {
  assert.equal(wording.status({ kind: 'uploading', sentBytes: 999, secondsLeft: undefined, isStalled: false }, 1000), 'Bezig: 99%')
  assert.equal(wording.status({ kind: 'uploading', sentBytes: 620, secondsLeft: 230, isStalled: false }, 1000), 'Bezig: 62%, nog 4 min.')
  assert.equal(wording.status({ kind: 'uploading', sentBytes: 620, secondsLeft: 40, isStalled: false }, 1000), 'Bezig: 62%')
  assert.equal(wording.status({ kind: 'paused', sentBytes: 0 }, 0), 'Gepauzeerd bij 0%')
  assert.equal(wording.status({ kind: 'uploading', sentBytes: 620, secondsLeft: undefined, isStalled: true }, 1000), 'Geen verbinding')
})

test("the server's own sentence goes before ours", () => {
  const problem = { status: 415, code: 'malware_found', title: 'Virus gevonden', detail: '' }
  const state = { kind: 'failed', reason: { kind: 'problem', problem }, mayRetry: false, sentBytes: 0 } as const
  assert.equal(wording.status(state, 10), 'Virus gevonden')
  assert.equal(wording.announcement('a.pdf', state), 'a.pdf: Virus gevonden')
})

test('only endings are read out', () => {
  assert.equal(wording.announcement('a.pdf', { kind: 'done', sha256: undefined }), 'a.pdf is ontvangen.')
  assert.equal(wording.announcement('a.pdf', { kind: 'uploading', sentBytes: 1, secondsLeft: 1, isStalled: false }), '')
  assert.equal(wording.announcement('a.pdf', { kind: 'paused', sentBytes: 1 }), '')
})
