/** What people do with uploads: pause them, go on with them after a reload, take them back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CHUNK, device, file, hold, open, reach, server, SIZE } from './uploads'

test('paused means nothing travels; going on asks the server where it was', async () => {
  const held = hold(({ method, headers }) => method === 'PATCH' && headers['upload-offset'] === String(CHUNK))
  const content = file()
  const queue = open()
  const upload = queue.add(content)
  await held.arrived
  upload.pause()
  held.release()
  await sleep(30)
  assert.equal(upload.state.kind, 'paused')
  const before = server.asked.length
  await sleep(30)
  assert.equal(server.asked.length, before)

  queue.resume(upload)
  await reach(upload, 'done')
  assert.equal(server.asked[before]?.method, 'HEAD')
  assert.deepEqual(server.single().bytes, Buffer.from(await content.arrayBuffer()))
})

test('pausing while the server creates the upload loses neither the pause nor the upload', async () => {
  const held = hold(({ method }) => method === 'POST')
  const queue = open()
  const upload = queue.add(file())
  await held.arrived
  upload.pause()
  held.release()
  await sleep(50)
  assert.equal(upload.state.kind, 'paused')
  assert.deepEqual(server.methods(), ['POST'])
  queue.resume(upload)
  await reach(upload, 'done')
  assert.equal(server.uploads.size, 1)
})

test('pausing and going on at once is one upload', async () => {
  const queue = open()
  const upload = queue.add(file())
  upload.pause()
  queue.resume(upload)
  await reach(upload, 'done')
  assert.equal(server.uploads.size, 1)
})

test('after a reload the same file goes on where it was', async () => {
  const held = hold(({ method, headers }) => method === 'PATCH' && headers['upload-offset'] === String(CHUNK))
  const content = file()
  const first = open()
  first.add(content)
  await held.arrived
  first.close()
  held.release()
  await sleep(30)
  const arrived = server.single().bytes.length
  server.asked.length = 0

  const upload = open().add(file())
  await reach(upload, 'done')
  assert.deepEqual(server.methods().slice(0, 2), ['HEAD', 'PATCH'])
  assert.equal(server.asked[1]?.headers['upload-offset'], String(arrived))
  assert.deepEqual(server.single().bytes, Buffer.from(await content.arrayBuffer()))
})

test('another file of the same name and size is another upload', async () => {
  await reach(open().add(file('a.pdf', SIZE, 1)), 'done')
  await reach(open().add(file('a.pdf', SIZE, 2)), 'done')
  assert.equal(server.uploads.size, 2)
})

test('the storage of the browser holds no file names', async () => {
  await reach(open().add(file('Geheim dossier.pdf')), 'done')
  for (let tries = 0; tries < 1000 && device.entries.size === 0; tries += 1) await new Promise((on) => setTimeout(on, 1))
  assert.equal(device.entries.size, 1)
  assert.ok(!JSON.stringify([...device.entries]).includes('Geheim'))
})

test('an upload that has expired on the server begins anew', async () => {
  const queue = open()
  await reach(queue.add(file()), 'done')
  server.uploads.clear()
  const upload = open().add(file())
  await reach(upload, 'done')
  assert.equal(server.single().bytes.length, SIZE)
})

test('the same file chosen twice is one document', async () => {
  const queue = open()
  const upload = queue.add(file())
  assert.equal(queue.add(file()), upload)
  await reach(upload, 'done')
  assert.equal(server.uploads.size, 1)
})

test('removing takes it off the server, finished or not', async () => {
  const queue = open()
  const done = queue.add(file('a.pdf', SIZE, 1))
  await reach(done, 'done')
  await queue.remove(done)
  assert.equal(done.state.kind, 'removed')
  assert.equal(server.uploads.size, 0)
  assert.equal(device.entries.size, 0)

  const held = hold(({ method }) => method === 'PATCH')
  const unfinished = queue.add(file('b.pdf', SIZE, 2))
  await held.arrived
  await queue.remove(unfinished)
  held.release()
  assert.equal(server.uploads.size, 0)
  assert.deepEqual(queue.uploads, [])
})

test('removing while the server creates the upload leaves nothing behind', async () => {
  const held = hold(({ method }) => method === 'POST')
  const queue = open()
  const upload = queue.add(file())
  await held.arrived
  const removed = queue.remove(upload)
  held.release()
  await removed
  assert.equal(server.uploads.size, 0)
  assert.deepEqual(server.methods(), ['POST', 'DELETE'])
})

test('what can not be removed stays', async () => {
  const queue = open()
  const upload = queue.add(file())
  await reach(upload, 'done')
  server.intercept = (_, response) => {
    response.writeHead(500).end()
    return true
  }
  await assert.rejects(queue.remove(upload))
  assert.equal(upload.state.kind, 'done')
  assert.deepEqual(queue.uploads, [upload])
})

test('a document from an earlier page is removed by its number; one that is gone counts as removed', async () => {
  const queue = open()
  const upload = queue.add(file())
  await reach(upload, 'done')
  await open().removeRemote(upload.id ?? '')
  assert.equal(server.uploads.size, 0)
  await open().removeRemote('unknown')
})

test('bytes that changed on the way are noticed', async () => {
  server.hash = () => 'f'.repeat(64)
  const { reason, mayRetry } = await reach(open().add(file()), 'failed')
  assert.deepEqual(reason, { kind: 'damaged' })
  assert.equal(mayRetry, false)
})

test('storage that refuses does not stop an upload', async () => {
  const refuse = (): never => {
    throw new Error('QuotaExceededError')
  }
  Object.assign(device, { store: { getItem: refuse, setItem: refuse, removeItem: refuse } })
  await reach(open().add(file()), 'done')
})
