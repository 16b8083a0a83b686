/** The documents on their way, with one pause and one stop for all of them. */
import { button, element } from '../element'
import { filled, type Words } from '../i18n/words'
import type { DocumentUpload, UploadState } from '../upload/upload'

export interface UploadActions {
  pause(): void
  resume(): void
  stop(): void
}

interface Row {
  readonly part: HTMLElement
  update(): void
}

/** Rows are changed in place: whoever is about to press a button must not find another one under the mouse. */
export class UploadList {
  readonly part: HTMLElement
  private readonly list = element('div', { class: 'zp-list' })
  private readonly pause: HTMLButtonElement
  private readonly rows = new Map<DocumentUpload, Row>()
  private readonly percent: Intl.NumberFormat
  private isPaused = false

  constructor(
    language: string,
    private readonly words: Words,
    act: UploadActions,
  ) {
    this.percent = new Intl.NumberFormat(language, { style: 'percent' })
    this.pause = button(words.pause, () => (this.isPaused ? act.resume() : act.pause()), { id: 'pause' })
    const controls = element('div', { class: 'zp-buttons' }, this.pause, button(words.stop, () => act.stop(), { id: 'stop' }))
    this.part = element('div', { class: 'zp-list', hidden: true }, this.list, controls)
  }

  show(uploads: readonly DocumentUpload[]): void {
    for (const each of uploads) {
      const row = this.rows.get(each) ?? this.rowOf(each)
      this.rows.set(each, row)
      row.update()
    }
    for (const [each, row] of this.rows) {
      if (uploads.includes(each)) continue
      row.part.remove()
      this.rows.delete(each)
    }
    this.isPaused = uploads.some(({ state }) => state.kind === 'paused')
    this.pause.textContent = this.isPaused ? this.words.resume : this.words.pause
    if (this.part.hidden === (uploads.length === 0)) return
    this.part.hidden = uploads.length === 0
    // A long draft would leave it out of sight.
    if (!this.part.hidden) this.part.scrollIntoView({ block: 'nearest' })
  }

  private rowOf(upload: DocumentUpload): Row {
    const { file } = upload
    const text = element('span')
    const bar = element('progress', { max: '1', 'aria-label': file.name })
    const part = element('div', { class: 'zp-row' }, text, bar)
    this.list.append(part)
    return {
      part,
      update: () => {
        const { state } = upload
        const sent = sentOf(state, file.size)
        bar.value = sent
        text.textContent = filled(this.sentence(state), { name: file.name, percent: this.percent.format(Math.floor(sent * 100) / 100) })
      },
    }
  }

  private sentence(state: UploadState): string {
    const isStalled = state.kind === 'offline' || (state.kind === 'uploading' && state.isStalled)
    if (state.kind === 'paused') return this.words.paused
    return isStalled ? this.words.stalled : this.words.uploading
  }
}

function sentOf(state: UploadState, sizeBytes: number): number {
  if (state.kind === 'done') return 1
  return 'sentBytes' in state ? state.sentBytes / Math.max(sizeBytes, 1) : 0
}
