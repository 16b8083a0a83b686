/** The uploads of one transfer: a few at a time, and on again by themselves when the connection returns. */
import { UploadMemory } from './memory'
import { refusal, type Limits, type Reason } from './reason'
import type { Surroundings } from './surroundings'
import { DocumentUpload, terminate, type Transport } from './upload'

// More at once only share the same line, and a cut loses a piece of each.
const AT_ONCE = 2

export class UploadQueue {
  private readonly items: DocumentUpload[] = []
  private readonly memory: UploadMemory
  private readonly stopListening: () => void
  private letSleep: (() => void) | undefined

  /** `changed` is called after every change of an upload's state, progress included. */
  constructor(
    private readonly transport: Transport,
    private readonly limits: Limits,
    private readonly surroundings: Surroundings,
    private readonly changed: (upload: DocumentUpload) => void,
  ) {
    this.memory = new UploadMemory(surroundings.store, transport.transferId)
    this.stopListening = surroundings.onReturn(() => this.goOn())
  }

  get uploads(): readonly DocumentUpload[] {
    return this.items
  }

  /** Whether leaving now would cut something off. */
  get isBusy(): boolean {
    return this.items.some(({ state }) => ['waiting', 'uploading', 'offline'].includes(state.kind))
  }

  /** Whether something was chosen that is not whole on the server, and won't be by itself. */
  get isLeftOver(): boolean {
    return this.items.some(
      ({ state }) =>
        state.kind === 'paused' || (state.kind === 'failed' && (state.mayRetry || isUnsound(state.reason))),
    )
  }

  /** Take a file in. The same file picked again goes on where it was. */
  add(file: File): DocumentUpload {
    const known = this.items.find((upload) => isSame(upload.file, file))
    if (known) {
      if (known.state.kind === 'paused' || known.state.kind === 'failed') this.resume(known)
      return known
    }
    const upload = this.take(file)
    const reason = refusal(file, this.limits)
    if (reason) upload.refuse(reason)
    else upload.queue()
    return upload
  }

  /** List something that can't be sent, with the reason. */
  refuse(file: File, reason: Reason): void {
    this.take(file).refuse(reason)
  }

  /** Go on with a paused upload, or try a failed one again where that may help. */
  resume(upload: DocumentUpload): void {
    const { state } = upload
    if (state.kind === 'paused' || state.kind === 'offline' || (state.kind === 'failed' && state.mayRetry)) upload.queue()
  }

  /** Take an upload back; rejects when the server can't be reached. */
  async remove(upload: DocumentUpload): Promise<void> {
    await upload.remove()
    this.items.splice(this.items.indexOf(upload), 1)
  }

  /** Take back what an earlier page left on the server. */
  removeRemote(id: string): Promise<void> {
    return terminate(`${this.transport.endpoint}/${encodeURIComponent(id)}`, this.transport, () =>
      this.surroundings.isOnline(),
    )
  }

  /** Stop everything and let go of the device. What arrived stays on the server. */
  close(): void {
    this.stopListening()
    for (const upload of this.items) upload.pause()
  }

  private take(file: File): DocumentUpload {
    const upload = new DocumentUpload(file, this.transport, this.memory, this.surroundings, (item) => this.moved(item))
    this.items.push(upload)
    return upload
  }

  private moved(upload: DocumentUpload): void {
    const isActive = this.items.some(({ state }) => state.kind === 'uploading')
    if (isActive) this.letSleep ??= this.surroundings.keepAwake()
    this.changed(upload)
    if (upload.state.kind !== 'uploading') this.startNext()
    if (!this.items.some(({ state }) => state.kind === 'uploading')) {
      this.letSleep?.()
      this.letSleep = undefined
    }
  }

  private startNext(): void {
    const active = this.items.filter(({ state }) => state.kind === 'uploading').length
    const next = this.items.find(({ state }) => state.kind === 'waiting')
    if (next && active < AT_ONCE) void next.start()
  }

  /**
   * tus-js-client gives up at once when the browser is offline, and phones cut uploads of hidden pages. Whoever comes back
   * from another tab may have signed in there.
   */
  private goOn(): void {
    if (!this.surroundings.isOnline()) return
    for (const upload of this.items) {
      const { state } = upload
      if (state.kind === 'offline' || (state.kind === 'failed' && mayHavePassed(state.reason))) this.resume(upload)
      else upload.hurry()
    }
  }
}

function isSame(one: File, other: File): boolean {
  return one.name === other.name && one.size === other.size && one.lastModified === other.lastModified
}

function mayHavePassed(reason: Reason): boolean {
  return reason.kind === 'outage' || reason.kind === 'signedOut'
}

/** The server holds something of it that must not be sent. */
function isUnsound(reason: Reason): boolean {
  return reason.kind === 'damaged' || reason.kind === 'unreadable'
}
