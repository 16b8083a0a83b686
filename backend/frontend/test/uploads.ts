/** A queue of uploads against a server on loopback, both anew for every test. */
import { createHash } from 'node:crypto'
import { afterEach, beforeEach } from 'node:test'
import type { KeyValueStore } from '@zegelpost/upload/memory'
import { UploadQueue } from '@zegelpost/upload/queue'
import type { Limits } from '@zegelpost/upload/reason'
import type { Surroundings } from '@zegelpost/upload/surroundings'
import type { DocumentUpload, UploadState } from '@zegelpost/upload/upload'
import { NodeHttpStack, TusServer, type Asked } from './tus-server'

export const SIZE = 1000
export const CHUNK = 400
export const ANYTHING: Limits = { maxBytes: 0, extensions: [] }

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

export let server: TusServer
export let device: Device
let watchers: (() => void)[]

beforeEach(async () => {
  server = new TusServer()
  device = new Device()
  watchers = []
  await server.open()
})

afterEach(() => server.close())

export function open(limits: Limits = ANYTHING, retryDelays: number[] = [5, 5], headers = () => ({ 'X-CSRF-Token': 'token' })): UploadQueue {
  return new UploadQueue(
    { endpoint: server.endpoint, transferId: 't1', headers, chunkBytes: CHUNK, retryDelays, httpStack: new NodeHttpStack() },
    limits,
    device,
    () => {
      for (const watcher of watchers) watcher()
    },
  )
}

export function file(name = 'Besluit 2026.pdf', size = SIZE, seed = 1): File {
  const content = Uint8Array.from({ length: size }, (_, index) => (index * 31 + seed) % 256)
  return new File([content], name, { lastModified: 1_000 + seed })
}

/** Resolves with the state when the upload gets there; the test fails when it does not. */
export function reach<K extends UploadState['kind']>(upload: DocumentUpload, kind: K): Promise<Extract<UploadState, { kind: K }>> {
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
export function stalled(upload: DocumentUpload): Promise<void> {
  return new Promise((resolve) =>
    watchers.push(() => upload.state.kind === 'uploading' && upload.state.isStalled && resolve()),
  )
}

/** Lets the first request that matches wait until it is released. */
export function hold(matches: (asked: Asked) => boolean): { readonly arrived: Promise<void>; release(): void } {
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

export async function sha(content: File): Promise<string> {
  return createHash('sha256').update(Buffer.from(await content.arrayBuffer())).digest('hex')
}
