/** What arrives, and what is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '@zegelpost/upload/digest'
import { ANYTHING, device, file, hold, open, reach, server, sha, SIZE } from './uploads'

test('a file arrives whole, in pieces, with its name, its transfer and our headers', async () => {
  const content = file('Ünïcode besluit.pdf')
  const upload = open().add(content)
  const { sha256 } = await reach(upload, 'done')

  const stored = server.single()
  assert.deepEqual(stored.metadata, { transfer_id: 't1', filename: 'Ünïcode besluit.pdf' })
  assert.deepEqual(stored.bytes, Buffer.from(await content.arrayBuffer()))
  assert.equal(sha256, await sha(content))
  assert.deepEqual(server.methods(), ['POST', 'PATCH', 'PATCH', 'PATCH'])
  assert.ok(server.asked.every(({ headers }) => headers['x-csrf-token'] === 'token'))
  assert.equal(upload.id, stored.id)
})

test('a file of which the server stored something else is damaged, and its upload is not gone on with', async () => {
  server.hash = () => 'f'.repeat(64)
  const upload = open().add(file())
  const { reason, mayRetry } = await reach(upload, 'failed')
  assert.deepEqual([reason, mayRetry], [{ kind: 'damaged' }, false])
})

test('a file larger than a piece of reading is compared from its first byte to its last', async () => {
  const bytes = new Uint8Array(3 * 512 * 1024 + 5).map((_, at) => at % 251)
  const content = new File([bytes], 'a.pdf')
  assert.equal(await digestOf(content, () => false), await sha(content))
  assert.equal(await digestOf(content, () => true), undefined)
  assert.equal(await digestOf(new File([], 'b.pdf'), () => false), await sha(new File([], 'b.pdf')))
  const gone = { size: 5, slice: () => ({ arrayBuffer: () => Promise.reject(new Error('gone')) }) } as unknown as File
  assert.equal(await digestOf(gone, () => false), undefined)
})

test('headers are asked anew for each request, because tokens are renewed', async () => {
  let count = 0
  const upload = open(ANYTHING, [], () => ({ 'X-CSRF-Token': `token-${(count += 1)}` })).add(file())
  await reach(upload, 'done')
  assert.deepEqual(
    server.asked.map(({ headers }) => headers['x-csrf-token']),
    ['token-1', 'token-2', 'token-3', 'token-4'],
  )
})

test('the device stays awake exactly as long as something is under way', async () => {
  const held = hold(({ method }) => method === 'PATCH')
  const queue = open()
  const one = queue.add(file('a.pdf', SIZE, 1))
  const two = queue.add(file('b.pdf', SIZE, 2))
  await held.arrived
  assert.equal(device.awake, 1)
  assert.equal(queue.isBusy, true)
  held.release()
  await Promise.all([reach(one, 'done'), reach(two, 'done')])
  assert.equal(device.awake, 0)
  assert.equal(queue.isBusy, false)
})

test('two files travel at once, the third waits for its turn', async () => {
  const held = hold(({ method }) => method === 'POST')
  const queue = open()
  const uploads = [1, 2, 3].map((seed) => queue.add(file(`${seed}.pdf`, SIZE, seed)))
  await held.arrived
  assert.deepEqual(
    uploads.map(({ state }) => state.kind),
    ['uploading', 'uploading', 'waiting'],
  )
  held.release()
  await Promise.all(uploads.map((upload) => reach(upload, 'done')))
  assert.equal(server.uploads.size, 3)
})

for (const [what, name, size, expected] of [
  ['an empty file', 'a.pdf', 0, { kind: 'empty' }],
  ['one byte too many', 'a.pdf', 501, { kind: 'tooLarge', limitBytes: 500 }],
  ['another type', 'scan.EXE', 10, { kind: 'extensionNotAllowed', extension: 'exe' }],
  ['no type', 'README', 10, { kind: 'noExtension' }],
  ['a hidden file', '.pdf', 10, { kind: 'noExtension' }],
] as const) {
  test(`${what} is refused before a byte travels`, () => {
    const upload = open({ maxBytes: 500, extensions: ['pdf'] }).add(file(name, size))
    assert.deepEqual(upload.state, { kind: 'failed', reason: expected, mayRetry: false, sentBytes: 0 })
    assert.deepEqual(server.asked, [])
  })
}

test('a file of exactly the limit is taken, whatever the case of its ending', async () => {
  await reach(open({ maxBytes: 500, extensions: ['pdf'] }).add(file('A.PDF', 500)), 'done')
})

test("the server's refusal is final and in its own words", async () => {
  server.intercept = ({ method }, response) => {
    if (method !== 'POST') return false
    response.writeHead(413, { 'Content-Type': 'application/problem+json' })
    response.end(JSON.stringify({ title: 'Te groot', detail: 'Maximaal 20 GB.', code: 'document_too_large', status: 413 }))
    return true
  }
  const upload = open().add(file())
  const { reason, mayRetry } = await reach(upload, 'failed')
  const problem = { status: 413, code: 'document_too_large', title: 'Te groot', detail: 'Maximaal 20 GB.' }
  assert.deepEqual(reason, { kind: 'problem', problem })
  assert.equal(mayRetry, false)
  assert.deepEqual(server.methods(), ['POST'])
})

test('full storage keeps what arrived and may be tried again, without hammering', async () => {
  let isFull = true
  server.intercept = ({ method }, response) => {
    if (method !== 'PATCH' || !isFull) return false
    response.writeHead(507, { 'Content-Type': 'application/problem+json' }).end('{"title":"Vol","code":"storage_full"}')
    return true
  }
  const queue = open()
  const upload = queue.add(file())
  const { mayRetry } = await reach(upload, 'failed')
  assert.equal(mayRetry, true)
  assert.deepEqual(server.methods(), ['POST', 'PATCH'])
  isFull = false
  queue.resume(upload)
  await reach(upload, 'done')
  assert.equal(server.uploads.size, 1)
})
