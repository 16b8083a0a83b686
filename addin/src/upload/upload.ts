/** One file on its way: what people can do with it, and the state it is in. */
import { type DetailedError, type HttpResponse, type HttpStack, Upload as TusUpload } from 'tus-js-client'
import { digestOf } from './digest'
import type { UploadMemory } from './memory'
import { Pace } from './pace'
import { mayTryAgain, problemOf, type Reason } from './reason'
import type { Surroundings } from './surroundings'

export type UploadState =
  | { readonly kind: 'waiting' }
  /** `isStalled`: the server can't be reached at the moment, and is tried again by itself. */
  | {
      readonly kind: 'uploading'
      readonly sentBytes: number
      readonly secondsLeft: number | undefined
      readonly isStalled: boolean
    }
  | { readonly kind: 'paused'; readonly sentBytes: number }
  /** Goes on by itself when the connection is back. */
  | { readonly kind: 'offline'; readonly sentBytes: number }
  /** `sha256` is what the server computed over what it stored, in lower-case hexadecimal, when it said so. */
  | { readonly kind: 'done'; readonly sha256: string | undefined }
  | { readonly kind: 'failed'; readonly reason: Reason; readonly mayRetry: boolean; readonly sentBytes: number }
  | { readonly kind: 'removed' }

export interface Transport {
  /** Where uploads are created. */
  readonly endpoint: string
  readonly transferId: string
  /** Asked before each request, because tokens are renewed. */
  headers(): Readonly<Record<string, string>>
  /** Size of one PATCH: bounds what a cut connection loses, and keeps proxies content. */
  readonly chunkBytes?: number
  /** Waits between attempts, in milliseconds; progress starts the row anew. */
  readonly retryDelays?: readonly number[]
  /** For tests; browsers use XMLHttpRequest, the only one that reports progress. */
  readonly httpStack?: HttpStack
}

const CHUNK_BYTES = 64 * 1024 * 1024
const RETRY_DELAYS = [500, 1_000, 3_000, 5_000, 10_000, 20_000, 30_000]
// A server that is away may be restarting or updating, and nobody sits beside a large upload: half an hour more.
const PATIENT_DELAYS = [...RETRY_DELAYS, ...Array<number>(60).fill(30_000)]
// Reading larger ones a second time would keep a device busy for longer than sending them; the server's own checks cover those.
const COMPARED_BYTES = 4 * 1024 ** 3

export class DocumentUpload {
  private current: UploadState = { kind: 'waiting' }
  private sentBytes = 0
  private readonly pace = new Pace()
  /** Where the server keeps this upload, once it exists. */
  private address: string | undefined
  /** The attempt under way. Each start is a new one: the library keeps count of its retries for ever. */
  private attempt: TusUpload | undefined
  /** Counts starts: of two that overlap, the last one goes on. */
  private turn = 0
  /** Nothing may be sent: people paused or removed it. Requests under way find out when they end. */
  private isHalted = true
  /** The server is making the upload; cutting that off would leave one behind of which we never learn the address. */
  private isCreating = false
  private whenCreated: (() => void) | undefined
  /** What this device reads in the file, computed while it is sent. */
  private digest: Promise<string | undefined> | undefined

  constructor(
    readonly file: File,
    private readonly transport: Transport,
    private readonly memory: UploadMemory,
    private readonly surroundings: Surroundings,
    private readonly changed: (upload: DocumentUpload) => void,
  ) {}

  get state(): UploadState {
    return this.current
  }

  /** The last part of the upload's address, by which the server knows it, once it exists. */
  get id(): string | undefined {
    return this.address?.split('/').pop()
  }

  /** Begin or go on. Finds an upload of this very file that an earlier page left unfinished. */
  async start(): Promise<void> {
    this.isHalted = false
    this.enter({ kind: 'uploading', sentBytes: this.sentBytes, secondsLeft: undefined, isStalled: false })
    if (this.isCreating) return
    const turn = (this.turn += 1)
    this.address ??= await this.memory.recall(this.file)
    if (this.isHalted || turn !== this.turn) return
    // Who follows this learns which upload it is, before the server answers.
    if (this.address !== undefined) this.changed(this)
    if (this.file.size <= COMPARED_BYTES) {
      this.digest ??= digestOf(this.file, () => this.current.kind === 'removed' || this.current.kind === 'failed')
    }
    this.attempt = this.newAttempt()
    this.attempt.start()
  }

  /** The connection may be back: try now, not when the wait is over. */
  hurry(): void {
    if (this.current.kind !== 'uploading' || !this.current.isStalled) return
    void this.attempt?.abort()
    void this.start()
  }

  /** Let it wait for its turn. */
  queue(): void {
    this.enter({ kind: 'waiting' })
  }

  refuse(reason: Reason): void {
    this.enter({ kind: 'failed', reason, mayRetry: false, sentBytes: 0 })
  }

  pause(): void {
    if (['done', 'failed', 'removed'].includes(this.current.kind)) return
    this.halt()
    this.enter({ kind: 'paused', sentBytes: this.sentBytes })
  }

  /**
   * Take it back, here and on the server. When the server can't be reached the upload stays as it was, at rest, and the
   * promise is rejected.
   */
  async remove(): Promise<void> {
    this.pause()
    if (this.isCreating) await new Promise<void>((resolve) => (this.whenCreated = resolve))
    if (this.address !== undefined) await terminate(this.address, this.transport, () => this.surroundings.isOnline())
    await this.memory.forget(this.file)
    this.enter({ kind: 'removed' })
  }

  private enter(state: UploadState): void {
    this.current = state
    this.changed(this)
  }

  private halt(): void {
    this.isHalted = true
    if (!this.isCreating) void this.attempt?.abort()
  }

  private newAttempt(): TusUpload {
    const mayGoOn = (): boolean => !this.isHalted && this.attempt === attempt
    const attempt = new TusUpload(this.file, {
      // Given both, the library answers any failed HEAD, also a passing 503, by creating a second upload.
      endpoint: this.address === undefined ? this.transport.endpoint : null,
      uploadUrl: this.address ?? null,
      metadata: { transfer_id: this.transport.transferId, filename: this.file.name },
      chunkSize: this.transport.chunkBytes ?? CHUNK_BYTES,
      retryDelays: [...(this.transport.retryDelays ?? PATIENT_DELAYS)],
      ...(this.transport.httpStack && { httpStack: this.transport.httpStack }),
      // The library would keep file names in the browser's storage; UploadMemory keeps hashes.
      storeFingerprintForResuming: false,
      fingerprint: () => Promise.resolve(''),
      onBeforeRequest: (request) => {
        if (!mayGoOn()) throw new Error('halted')
        this.isCreating = request.getMethod() === 'POST'
        for (const [name, value] of Object.entries(this.transport.headers())) request.setHeader(name, value)
      },
      onShouldRetry: (error, tries) => mayGoOn() && this.surroundings.isOnline() && this.mayWait(error, tries),
      onUploadUrlAvailable: () => this.created(attempt),
      onProgress: (sentBytes) => {
        if (mayGoOn()) this.progressed(sentBytes)
      },
      onSuccess: ({ lastResponse }) => void this.finished(lastResponse),
      onError: (error) => this.stopped(error),
    })
    return attempt
  }

  private created(attempt: TusUpload): void {
    if (attempt.url !== null && attempt.url !== this.address) {
      this.address = attempt.url
      attempt.options.endpoint = null
      void this.memory.remember(this.file, attempt.url)
    }
    if (this.isHalted) void attempt.abort()
    this.creationEnded()
  }

  private creationEnded(): void {
    this.isCreating = false
    this.whenCreated?.()
    this.whenCreated = undefined
  }

  private progressed(sentBytes: number): void {
    this.sentBytes = sentBytes
    this.pace.note(sentBytes, this.surroundings.now())
    const secondsLeft = this.pace.secondsFor(this.file.size - sentBytes)
    this.enter({ kind: 'uploading', sentBytes, secondsLeft, isStalled: false })
  }

  /** Whether to try again after a while, for which people see why nothing moves. */
  private mayWait(error: DetailedError, tries: number): boolean {
    const isAway = [0, 502, 503, 504].includes(statusOf(error))
    if (!isPassing(error) || (!isAway && tries >= RETRY_DELAYS.length)) return false
    this.creationEnded()
    if (isAway) this.stalled()
    return true
  }

  private stalled(): void {
    this.enter({ kind: 'uploading', sentBytes: this.sentBytes, secondsLeft: undefined, isStalled: true })
    // A file that was changed, moved or unplugged looks the same to a browser as a lost connection.
    const { attempt } = this
    const isMine = (): boolean => !this.isHalted && this.attempt === attempt
    this.file
      .slice(0, 1)
      .arrayBuffer()
      .catch(() => {
        if (!isMine()) return
        this.halt()
        this.fail({ kind: 'unreadable' }, false)
      })
  }

  private async finished(answer: HttpResponse): Promise<void> {
    const stored = answer.getHeader('Upload-Sha256')?.toLowerCase()
    if (stored !== undefined) {
      const own = await this.digest
      if (own !== undefined && own !== stored) {
        this.fail({ kind: 'damaged' }, false)
        return
      }
    }
    this.enter({ kind: 'done', sha256: stored })
  }

  private stopped(error: Error | DetailedError): void {
    this.creationEnded()
    if (this.isHalted) return
    const answer = 'originalResponse' in error ? error.originalResponse : null
    const status = answer?.getStatus() ?? 0
    if (this.address !== undefined && (status === 404 || status === 410)) {
      // It expired or was removed elsewhere: begin anew.
      this.address = undefined
      this.sentBytes = 0
      void this.memory.forget(this.file).then(() => this.start())
    } else if (status === 0 && !this.surroundings.isOnline()) {
      this.enter({ kind: 'offline', sentBytes: this.sentBytes })
    } else if (status === 401) {
      this.fail({ kind: 'signedOut' }, true)
    } else {
      const problem = answer ? problemOf(status, answer.getHeader('Content-Type'), answer.getBody()) : undefined
      this.fail(problem ? { kind: 'problem', problem } : { kind: 'outage' }, mayTryAgain(status))
    }
  }

  private fail(reason: Reason, mayRetry: boolean): void {
    if (!mayRetry) void this.memory.forget(this.file)
    // Begun anew when it is tried again: the file may have been mended.
    this.digest = undefined
    this.enter({ kind: 'failed', reason, mayRetry, sentBytes: this.sentBytes })
  }
}

/** Remove an upload from the server; one that is not there any more counts as removed. Rejects when the server won't. */
export async function terminate(address: string, transport: Transport, isOnline: () => boolean): Promise<void> {
  try {
    await TusUpload.terminate(address, {
      retryDelays: [...(transport.retryDelays ?? RETRY_DELAYS.slice(0, 3))],
      ...(transport.httpStack && { httpStack: transport.httpStack }),
      headers: { ...transport.headers() },
      onShouldRetry: (error) => isOnline() && isPassing(error),
    })
  } catch (error) {
    const status = (error as Partial<DetailedError>).originalResponse?.getStatus()
    if (status !== 404 && status !== 410) throw error
  }
}

/** Failures that pass by themselves within seconds: no answer, an overloaded server, an upload still locked or moved on. */
function isPassing(error: DetailedError): boolean {
  const status = statusOf(error)
  return status !== 507 && (status === 0 || status >= 500 || [408, 409, 423, 425, 429].includes(status))
}

/** 0 when there was no answer. */
function statusOf(error: DetailedError): number {
  return error.originalResponse?.getStatus() ?? 0
}
