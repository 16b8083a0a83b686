/** Uploads that are cut off: by the line, by the server, by the file, by a sign-in that ended. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ANYTHING, CHUNK, device, file, open, reach, server, stalled } from './uploads'

test('a cut connection and an overloaded server pass by themselves', async () => {
  let troubles = 2
  server.intercept = ({ method }, response) => {
    if (method !== 'PATCH' || troubles === 0) return false
    troubles -= 1
    if (troubles === 1) response.socket?.destroy()
    else response.writeHead(503).end()
    return true
  }
  const content = file()
  await reach(open().add(content), 'done')
  assert.deepEqual(server.single().bytes, Buffer.from(await content.arrayBuffer()))
})

test('a passing failure while resuming does not create a second upload', async () => {
  let isDown = true
  server.intercept = ({ method }, response) => {
    if (method === 'PATCH' && isDown) {
      response.socket?.destroy()
      return true
    }
    if (method === 'HEAD' && isDown) {
      isDown = false
      response.writeHead(503).end()
      return true
    }
    return false
  }
  await reach(open().add(file()), 'done')
  assert.equal(server.uploads.size, 1)
  assert.equal(server.methods().filter((method) => method === 'POST').length, 1)
})

test('when trying again does not help it says so, and a later try works', async () => {
  let isDown = true
  server.intercept = (_, response) => {
    if (isDown) response.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>Bad gateway</h1>')
    return isDown
  }
  const queue = open()
  const upload = queue.add(file())
  const { reason, mayRetry } = await reach(upload, 'failed')
  assert.deepEqual(reason, { kind: 'outage' })
  assert.equal(mayRetry, true)
  assert.equal(server.methods().length, 3)
  isDown = false
  queue.resume(upload)
  await reach(upload, 'done')
})

test('without a connection it waits, and goes on by itself where it was', async () => {
  let patches = 0
  server.intercept = ({ method }, response) => {
    if (method !== 'PATCH' || (patches += 1) !== 2) return false
    device.online = false
    response.socket?.destroy()
    return true
  }
  const content = file()
  const queue = open(ANYTHING, [60_000])
  const upload = queue.add(content)
  await reach(upload, 'offline')
  assert.equal(device.awake, 0)
  assert.equal(queue.isBusy, true)
  assert.equal(server.single().bytes.length, CHUNK)

  device.comeBack()
  await reach(upload, 'done')
  assert.deepEqual(server.single().bytes, Buffer.from(await content.arrayBuffer()))
  assert.equal(server.methods().filter((method) => method === 'POST').length, 1)
})

test('a server that is away is waited for and said so, and tried at once when the page is looked at again', async () => {
  let isDown = true
  server.intercept = ({ method }, response) => {
    if (method === 'POST' || !isDown) return false
    response.socket?.destroy()
    return true
  }
  const queue = open(ANYTHING, [60_000])
  const upload = queue.add(file())
  await stalled(upload)
  assert.equal(queue.isBusy, true)
  isDown = false
  device.comeBack()
  await reach(upload, 'done')
  assert.equal(server.uploads.size, 1)
})

test('what waits for the server is taken back at once', async () => {
  server.intercept = (_, response) => {
    response.socket?.destroy()
    return true
  }
  const queue = open(ANYTHING, [60_000])
  const upload = queue.add(file())
  await stalled(upload)
  await queue.remove(upload)
  assert.equal(queue.uploads.length, 0)
})

test('a file that can not be read any more is said so, not taken for a lost connection', async () => {
  server.intercept = ({ method }, response) => {
    if (method !== 'PATCH') return false
    response.socket?.destroy()
    return true
  }
  const content = file()
  let isGone = false
  content.slice = new Proxy(content.slice.bind(content), {
    apply: (slice, _, range: [number?, number?]) => {
      const piece = slice(...range)
      if (isGone) piece.arrayBuffer = () => Promise.reject(new DOMException('gone', 'NotReadableError'))
      isGone = true
      return piece
    },
  })
  const queue = open(ANYTHING, [60_000])
  const { reason, mayRetry } = await reach(queue.add(content), 'failed')
  assert.deepEqual(reason, { kind: 'unreadable' })
  assert.equal(mayRetry, false)
  assert.equal(queue.isLeftOver, true)
})

test('whoever was signed out and comes back signed in goes on where it was', async () => {
  server.intercept = ({ method }, response) => {
    if (method === 'POST' || server.single().bytes.length < CHUNK) return false
    response.writeHead(401, { 'Content-Type': 'application/problem+json' }).end('{"title":"Log in","code":"sign_in_required"}')
    return true
  }
  const content = file()
  const queue = open()
  const upload = queue.add(content)
  assert.deepEqual((await reach(upload, 'failed')).reason, { kind: 'signedOut' })
  assert.equal(queue.isLeftOver, true)
  // Still signed out: asked with HEAD, of which the answer has no body.
  device.comeBack()
  await sleep(30)
  assert.deepEqual((await reach(upload, 'failed')).reason, { kind: 'signedOut' })
  assert.equal(server.methods().at(-1), 'HEAD')
  server.intercept = () => false
  device.comeBack()
  await reach(upload, 'done')
  assert.deepEqual(server.single().bytes, Buffer.from(await content.arrayBuffer()))
  assert.equal(queue.isLeftOver, false)
})
