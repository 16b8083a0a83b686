/**
 * From a draft in Outlook to a transfer that was sent, and only then to an empty draft.
 *
 * 1. Outlook is read anew: recipients may have changed since the pane showed them.
 * 2. The transfer is made, and the documents are uploaded; the server's SHA-256 of each is compared.
 * 3. It is sent. Up to here any failure leaves the draft as it was.
 * 4. The draft is marked before it is emptied, so that a draft that Outlook fails to empty can't leave either.
 */
import type { Client, NewTransfer, Transfer } from '../api/client'
import { OfficeProblem } from '../office/calls'
import type { Attachment, Draft } from '../office/outlook'
import { UploadQueue } from '../upload/queue'
import type { Limits } from '../upload/reason'
import type { Surroundings } from '../upload/surroundings'
import type { DocumentUpload } from '../upload/upload'

export interface Order {
  readonly transfer: NewTransfer
  readonly attachments: readonly Attachment[]
  readonly files: readonly File[]
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

export class Sending {
  private transferId: string | undefined
  private queue: UploadQueue | undefined
  private readonly done = new Map<string, DocumentUpload>()

  constructor(
    private readonly client: Client,
    private readonly draft: Draft,
    private readonly limits: Limits,
    private readonly surroundings: Surroundings,
    private readonly progress: Progress,
  ) {}

  /** Send it; may be called again after a failure, and then goes on with what has arrived. */
  async run(order: Order, statement: (transfer: Transfer) => string): Promise<Transfer> {
    // 1.
    this.progress.step('reading')
    const read = await this.readAll(order.attachments)
    // 2.
    this.progress.step('uploading')
    if (this.transferId === undefined) this.transferId = (await this.client.create(order.transfer)).id
    else await this.client.change(this.transferId, order.transfer)
    await this.uploadAll(this.transferId, [...read, ...order.files])
    // 3.
    this.progress.step('sending')
    const transfer = await this.client.send(this.transferId)
    // 4.
    this.progress.step('emptying')
    try {
      await this.draft.mark(transfer.id)
      await this.draft.empty(statement(transfer))
      // A client that can't close takes the pane nowhere: it says that the draft may go.
      await this.draft.saveAndClose()
      return transfer
    } catch {
      throw new NotEmptied(transfer)
    }
  }

  pause(): void {
    for (const upload of this.queue?.uploads ?? []) upload.pause()
  }

  resume(): void {
    for (const upload of this.queue?.uploads ?? []) this.queue?.resume(upload)
  }

  private async readAll(attachments: readonly Attachment[]): Promise<readonly File[]> {
    const files: File[] = []
    const missing: Attachment[] = []
    for (const attachment of attachments) {
      try {
        files.push(await this.draft.read(attachment))
      } catch (error) {
        // An Outlook that keeps silent would do so for each of them.
        if (!(error instanceof OfficeProblem) || error.kind === 'late') throw error
        missing.push(attachment)
      }
    }
    if (missing.length > 0) throw new NotHandedOver(missing)
    return files
  }

  private uploadAll(transferId: string, files: readonly File[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const uploads = queue.uploads
        this.progress.uploads(uploads)
        const failed = uploads.find(({ state }) => state.kind === 'failed')
        if (failed) {
          reject(new UploadFailed(failed))
        } else if (uploads.length === files.length && uploads.every(({ state }) => state.kind === 'done')) {
          resolve()
        }
      }
      this.queue?.close()
      const queue = new UploadQueue(
        { endpoint: this.client.uploadsUrl, transferId, headers: () => this.client.headers() },
        this.limits,
        this.surroundings,
        (upload) => {
          if (upload.state.kind === 'done') this.done.set(keyOf(upload.file), upload)
          look()
        },
      )
      this.queue = queue
      const wanted = files.filter((file) => !this.done.has(keyOf(file)))
      files = wanted
      if (wanted.length === 0) {
        resolve()
        return
      }
      for (const file of wanted) queue.add(file)
      look()
    })
  }
}

function keyOf(file: File): string {
  return `${file.name}\n${file.size}`
}
