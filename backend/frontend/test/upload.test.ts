import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '@zegelpost/upload/digest'
import type { KeyValueStore } from '@zegelpost/upload/memory'
import { UploadQueue } from '@zegelpost/upload/queue'
import type { Limits } from '@zegelpost/upload/reason'
import type { Surroundings } from '@zegelpost/upload/surroundings'
import type { DocumentUpload, UploadState } from '@zegelpost/upload/upload'
import { NodeHttpStack, TusServer, type Asked } from './tus-server'

const SIZE = 1000
const CHUNK = 400
const ANYTHING: Limits = { maxBytes: 0, extensions: [] }

class Device implements Surroundings {
  readonly entries = new Map<string, string>()
  readonly store: KeyValueStore = {
    getItem: (key) => this.entries.get(key) ?? null,
    setItem: (key, value) => void this.entries.set(key, value),
    removeItem: (key) => void this.entries.delete(key),
  }
  online = true
  awake = 0
  private readonly listeners = new Set<() => void>()

  now = (): number => performance.now()
  isOnline = (): boolean => this.online

  onReturn(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  keepAwake(): () => void {
    this.awake += 1
    return () => (this.awake -= 1)
  }

  comeBack(): void {
    this.online = true
    for (const listener of this.listeners) listener()
  }
}

let server: TusServer
let device: Device
let watchers: (() => void)[]

beforeEach(async () => {
  server = new TusServer()
  device = new Device()
  watchers = []
  await server.open()
})

afterEach(() => server.close())

function open(limits: Limits = ANYTHING, retryDelays: number[] = [5, 5], headers = () => ({ 'X-CSRF-Token': 'token' })): UploadQueue {
  return new UploadQueue(
    { endpoint: server.endpoint, transferId: 't1', headers, chunkBytes: CHUNK, retryDelays, httpStack: new NodeHttpStack() },
    limits,
    device,
    () => {
      for (const watcher of watchers) watcher()
    },
  )
}

function file(name = 'Besluit 2026.pdf', size = SIZE, seed = 1): File {
  const content = Uint8Array.from({ length: size }, (_, index) => (index * 31 + seed) % 256)
  return new File([content], name, { lastModified: 1_000 + seed })
}

/** Resolves with the state when the upload gets there; the test fails when it does not. */
function reach<K extends UploadState['kind']>(upload: DocumentUpload, kind: K): Promise<Extract<UploadState, { kind: K }>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${upload.state.kind} instead of ${kind}`)), 5_000)
    const look = (): void => {
      if (upload.state.kind !== kind) return
      clearTimeout(timer)
      resolve(upload.state as Extract<UploadState, { kind: K }>)
    }
    watchers.push(look)
    look()
  })
}

/** Resolves when the upload waits for a server that is away. */
function stalled(upload: DocumentUpload): Promise<void> {
  return new Promise((resolve) =>
    watchers.push(() => upload.state.kind === 'uploading' && upload.state.isStalled && resolve()),
  )
}

/** Lets the first request that matches wait until it is released. */
function hold(matches: (asked: Asked) => boolean): { readonly arrived: Promise<void>; release(): void } {
  let arrive = (): void => undefined
  let release = (): void => undefined
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  const released = new Promise<void>((resolve) => (release = resolve))
  let isUsed = false
  server.intercept = async (asked) => {
    if (isUsed || !matches(asked)) return false
    isUsed = true
    arrive()
    await released
    return false
  }
  return { arrived, release }
}

async function sha(content: File): Promise<string> {
  return createHash('sha256').update(Buffer.from(await content.arrayBuffer())).digest('hex')
}

test('a file arrives whole, in pieces, with its name, its transfer and our headers', async () => {
  const content = file('Ünïcode besluit.pdf')
  const upload = open().add(content)
  const { sha256 } = await reach(upload, 'done')

  const stored = server.only()
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
  assert.deepEqual(server.only().bytes, Buffer.from(await content.arrayBuffer()))
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
  assert.equal(server.only().bytes.length, CHUNK)

  device.comeBack()
  await reach(upload, 'done')
  assert.deepEqual(server.only().bytes, Buffer.from(await content.arrayBuffer()))
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
    if (method === 'POST' || server.only().bytes.length < CHUNK) return false
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
  assert.deepEqual(server.only().bytes, Buffer.from(await content.arrayBuffer()))
  assert.equal(queue.isLeftOver, false)
})

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
  assert.deepEqual(server.only().bytes, Buffer.from(await content.arrayBuffer()))
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
  const arrived = server.only().bytes.length
  server.asked.length = 0

  const upload = open().add(file())
  await reach(upload, 'done')
  assert.deepEqual(server.methods().slice(0, 2), ['HEAD', 'PATCH'])
  assert.equal(server.asked[1]?.headers['upload-offset'], String(arrived))
  assert.deepEqual(server.only().bytes, Buffer.from(await content.arrayBuffer()))
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
  assert.equal(server.only().bytes.length, SIZE)
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
