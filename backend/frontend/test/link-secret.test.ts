import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSecret, recoverSecret } from '../src/link-secret'

const SECRET = 'abcdefghijklmnopqrstuvwxyz234567'
const PRINTED = 'abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567'

for (const [what, text] of [
  ['as in the link', SECRET],
  ['as printed', PRINTED],
  ['with spaces around and between', ` ${PRINTED.replaceAll('-', ' ')}\n`],
  ['in capitals', PRINTED.toUpperCase()],
  ['with the dashes that word processors make', PRINTED.replaceAll('-', '–')],
  ['a whole link', `https://post.example.nl/o/x1#${SECRET}`],
  ['a link of which # was escaped', `https://post.example.nl/o/x1%23${SECRET}`],
  ['a link of which # was escaped twice', `https://post.example.nl/o/x1%2523${SECRET}`],
] as const) {
  test(`typed or pasted: ${what}`, () => assert.equal(parseSecret(text), SECRET))
}

test('digits that never occur are read as the letters that they look like', () => {
  assert.equal(parseSecret(`018${'a'.repeat(29)}`), `olb${'a'.repeat(29)}`)
})

for (const text of ['', SECRET.slice(1), `${SECRET}a`, SECRET.replace('a', '9'), SECRET.replace('a', 'é'), 'https://post.example.nl/o/x1']) {
  test(`no secret: ${JSON.stringify(text)}`, () => assert.equal(parseSecret(text), undefined))
}

for (const [what, address, rest] of [
  ['the link as it was sent', `/o/x1#${SECRET}`, '/o/x1'],
  ['with a language chosen', `/o/x1?language=en#${SECRET}`, '/o/x1?language=en'],
  ['escaped by a gateway', `/o/x1%23${SECRET}`, '/o/x1'],
  ['escaped twice', `/o/x1%2523${SECRET}`, '/o/x1'],
  ['in the query', `/o/x1?source=mail%23${SECRET}`, '/o/x1?source=mail'],
  ['with parameters put behind', `/o/x1#${SECRET}?utm_source=mail`, '/o/x1'],
  ['escaped, with parameters put behind', `/o/x1%23${SECRET}&data=05`, '/o/x1'],
  ['escaped, then a language chosen', `/o/x1%23${SECRET}?language=en`, '/o/x1?language=en'],
  ['escaped, then filled in again', `/o/x1%23garbage#${SECRET}`, '/o/x1'],
  ['in capitals', `/o/x1#${SECRET.toUpperCase()}`, '/o/x1'],
] as const) {
  test(`in the address: ${what}`, () => assert.deepEqual(recoverSecret(address), { secret: SECRET, address: rest }))
}

for (const address of ['/o/x1', '/o/x1#', '/o/x1#main', `/o/x1#${SECRET.slice(1)}`, `/o/${SECRET}`]) {
  test(`cut off: ${address}`, () => assert.equal(recoverSecret(address), undefined))
}
