/** One document in the list of uploads. */
import type { UploadState } from '@zegelpost/upload/upload'
import type { Wording } from './document-wording'
import { copy, part } from './element'

export interface RowActions {
  pause(): void
  resume(): void
  remove(): void
}

let count = 0

const ICONS: Record<UploadState['kind'], 'active' | 'paused' | 'done' | 'failed'> = {
  waiting: 'paused',
  uploading: 'active',
  paused: 'paused',
  offline: 'paused',
  done: 'done',
  failed: 'failed',
  removed: 'done',
}

export class DocumentRow {
  readonly element: HTMLElement
  private readonly progress: HTMLProgressElement
  private readonly status: HTMLElement
  private readonly pauseButton: HTMLButtonElement
  private readonly resumeButton: HTMLButtonElement

  constructor(
    template: HTMLTemplateElement,
    private readonly file: File,
    private readonly wording: Wording,
    actions: RowActions,
  ) {
    this.element = copy(template)
    this.progress = part(this.element, 'progress', HTMLProgressElement)
    this.status = part(this.element, '[data-status]', HTMLElement)
    const name = part(this.element, '[data-name]', HTMLElement)
    name.textContent = file.name
    name.id = `upload-name-${(count += 1)}`
    this.progress.setAttribute('aria-labelledby', name.id)
    part(this.element, '[data-size]', HTMLElement).textContent = file.size > 0 ? wording.size(file.size) : ''
    this.pauseButton = this.button('pause', () => actions.pause())
    this.resumeButton = this.button('resume', () => actions.resume())
    this.button('remove', () => actions.remove())
  }

  show(state: UploadState): void {
    const isMoving = state.kind === 'uploading' || state.kind === 'paused' || state.kind === 'offline'
    this.progress.hidden = !isMoving
    if (isMoving) this.progress.value = (state.sentBytes / Math.max(this.file.size, 1)) * 100
    this.status.textContent = this.wording.status(state, this.file.size)
    this.element.classList.toggle('zp-document--refused', state.kind === 'failed')
    this.element.classList.toggle('zp-document--done', state.kind === 'done')
    for (const icon of this.element.querySelectorAll<HTMLElement>('[data-icon]')) {
      icon.hidden = icon.dataset.icon !== ICONS[state.kind]
    }
    this.offer(state)
  }

  /** Shows the button that fits. The one with the focus may go: then the focus moves to the one in its place. */
  private offer(state: UploadState): void {
    const focused = [this.pauseButton, this.resumeButton].find((button) => button === document.activeElement)
    const mayRetry = state.kind === 'failed' && state.mayRetry
    this.pauseButton.hidden = state.kind !== 'uploading' && state.kind !== 'waiting'
    this.resumeButton.hidden = state.kind !== 'paused' && !mayRetry
    part(this.resumeButton, '[data-label]', HTMLElement).textContent = mayRetry
      ? this.wording.labels.retry
      : this.wording.labels.resume
    if (focused?.hidden) this.element.querySelector<HTMLElement>('button:not([hidden])')?.focus()
  }

  private button(action: string, act: () => void): HTMLButtonElement {
    const button = part(this.element, `[data-action="${action}"]`, HTMLButtonElement)
    part(button, '[data-about]', HTMLElement).textContent = ` ${this.file.name}`
    button.addEventListener('click', act)
    return button
  }
}
