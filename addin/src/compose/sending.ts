/**
 * From a draft in Outlook to a transfer that was sent, and only then to an empty draft.
 *
 * 1. Outlook is read anew: recipients may have changed since the pane showed them.
 * 2. The transfer is made, what people took out since an earlier try is removed from it, and the documents are uploaded; the server's
 *    SHA-256 of each is compared. A transfer of an earlier try that was sent after all, of which the answer got lost, is not sent twice.
 * 3. It is sent. Up to here any failure leaves the draft as it was.
 * 4. The draft is marked before it is emptied, so that a draft that Outlook fails to empty can't leave either.
 * 5. It is saved and closed, or made a copy that may leave to the sender alone.
 */
import { type Client, type NewTransfer, type Transfer, Unreachable } from '../api/client'
import { OfficeProblem } from '../office/calls'
import type { Attachment, Draft } from '../office/draft'
import { UploadQueue } from '../upload/queue'
import type { Limits } from '../upload/reason'
import type { Surroundings } from '../upload/surroundings'
import type { DocumentUpload, Transport } from '../upload/upload'

export interface Order {
  readonly transfer: NewTransfer
  readonly attachments: readonly Attachment[]
  readonly files: readonly File[]
  /** The sender's own address, when they want a copy to send to themselves; what it says is in the statement. */
  readonly copyTo: string | undefined
  /** What the draft says when it is empty. */
  statement(transfer: Transfer): string
}

export type Step = 'reading' | 'uploading' | 'sending' | 'emptying'

export interface Progress {
  step(step: Step): void
  uploads(uploads: readonly DocumentUpload[]): void
}

/** A document did not get there; `upload` says why. */
export class UploadFailed extends Error {
  constructor(readonly upload: DocumentUpload) {
    super('upload failed')
  }
}

/** People pressed stop; what arrived is kept for another try. */
export class Stopped extends Error {}

/** Outlook gave no bytes of these; nothing was sent. */
export class NotHandedOver extends Error {
  constructor(readonly attachments: readonly Attachment[]) {
    super('not handed over')
  }
}

/** It was sent, and the draft could not be emptied: it must not be sent besides. */
export class NotEmptied extends Error {
  constructor(readonly transfer: Transfer) {
    super('not emptied')
  }
}

/** An attachment by what makes it the same, a chosen file by itself. */
type Source = string | File

export class Sending {
  private transferId: string | undefined
  private queue: UploadQueue | undefined
  /** Of every document that the server may have something of. */
  private readonly uploads = new Map<Source, DocumentUpload>()
  private look: () => void = () => undefined
  private fail: (reason: Error) => void = () => undefined
  private readCount = 0

  constructor(
    private readonly client: Client,
    private readonly draft: Draft,
    private readonly limits: Limits,
    private readonly surroundings: Surroundings,
    private readonly progress: Progress,
    private readonly ways: Pick<Transport, 'httpStack' | 'retryDelays'> = {},
  ) {}

  /** Send it; may be called again after a failure, and then goes on with what has arrived. */
  async run(order: Order): Promise<Transfer> {
    // 1.
    this.progress.step('reading')
    const documents = await this.readAll(order.attachments)
    for (const file of order.files) documents.set(file, file)
    // 2.
    this.progress.step('uploading')
    const begun = this.transferId && (await this.client.transfer(this.transferId))
    const transfer = begun && begun.state === 'sent' ? begun : await this.deliver(order.transfer, documents)
    this.queue?.close()
    this.progress.step('emptying')
    try {
      // 4.
      await this.draft.mark(transfer.id)
      await this.draft.empty(order.statement(transfer))
      // 5. A client that can't close takes the pane nowhere: it says that the draft may go.
      if (order.copyTo === undefined) await this.draft.saveAndClose()
      else await this.draft.makeCopy(order.copyTo)
      return transfer
    } catch {
      throw new NotEmptied(transfer)
    }
  }

  private async deliver(wanted: NewTransfer, documents: ReadonlyMap<Source, File>): Promise<Transfer> {
    if (this.transferId === undefined) this.transferId = (await this.client.create(wanted)).id
    else await this.client.change(this.transferId, wanted)
    await this.uploadAll(this.transferId, documents)
    // 3.
    this.progress.step('sending')
    return this.client.send(this.transferId)
  }

  pause(): void {
    for (const upload of this.uploads.values()) upload.pause()
  }

  resume(): void {
    for (const upload of this.uploads.values()) this.queue?.resume(upload)
  }

  /** Give up for now; `run` rejects with `Stopped`. */
  stop(): void {
    this.fail(new Stopped())
  }

  /** The bytes of what is not there yet. */
  private async readAll(attachments: readonly Attachment[]): Promise<Map<Source, File>> {
    const files = new Map<Source, File>()
    const missing: Attachment[] = []
    for (const attachment of attachments) {
      const source = sourceOf(attachment)
      const known = this.uploads.get(source)
      try {
        files.set(source, known?.state.kind === 'done' ? known.file : await this.read(attachment))
      } catch (error) {
        // An Outlook that keeps silent would do so for each of them.
        if (!(error instanceof OfficeProblem) || error.kind === 'late') throw error
        missing.push(attachment)
      }
    }
    if (missing.length > 0) throw new NotHandedOver(missing)
    return files
  }

  /** Each has a moment of its own, because two attachments of one name and size are still two documents. */
  private async read(attachment: Attachment): Promise<File> {
    const file = await this.draft.read(attachment)
    this.readCount += 1
    return new File([file], file.name, { lastModified: this.readCount })
  }

  private async uploadAll(transferId: string, documents: ReadonlyMap<Source, File>): Promise<void> {
    this.queue ??= new UploadQueue(
      { ...this.ways, endpoint: this.client.uploadsUrl, transferId, headers: () => this.client.headers() },
      this.limits,
      this.surroundings,
      () => this.look(),
    )
    const { queue } = this
    for (const [source, upload] of this.uploads) {
      const isDone = upload.state.kind === 'done'
      const mayGoOn = upload.state.kind === 'paused' || (upload.state.kind === 'failed' && upload.state.mayRetry)
      if (!documents.has(source) || !(isDone || mayGoOn)) await this.takeBack(source, upload)
    }
    for (const [source, file] of documents) {
      const known = this.uploads.get(source)
      if (known) queue.resume(known)
      else this.uploads.set(source, queue.add(file))
    }
    await this.arrival()
  }

  /** Nothing that people took out may go along, and nothing half may keep the rest. */
  private async takeBack(source: Source, upload: DocumentUpload): Promise<void> {
    try {
      await this.queue?.remove(upload)
    } catch {
      throw new Unreachable()
    }
    this.uploads.delete(source)
  }

  private arrival(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.fail = (reason) => {
        this.look = () => undefined
        this.pause()
        reject(reason)
      }
      this.look = () => {
        const uploads = [...this.uploads.values()]
        this.progress.uploads(uploads)
        const failed = uploads.find(({ state }) => state.kind === 'failed')
        if (failed) this.fail(new UploadFailed(failed))
        else if (uploads.every(({ state }) => state.kind === 'done')) resolve()
      }
      this.look()
    })
  }
}

function sourceOf({ id, name, sizeBytes }: Attachment): Source {
  return [id, sizeBytes, name].join('\n')
}
