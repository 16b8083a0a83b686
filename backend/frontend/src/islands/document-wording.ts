/** The sentences about uploads, from the labels that the server put into the page in its language. */
import type { Reason } from '@zegelpost/upload/reason'
import type { UploadState } from '@zegelpost/upload/upload'

const NAMES = [
  'waiting', 'uploading', 'minutesLeft', 'paused', 'offline', 'done', 'damaged', 'unreadable', 'signedOut', 'failed', 'tooLarge', 'empty', 'folder',
  'extensionNotAllowed', 'noExtension', 'resume', 'retry', 'announceDone', 'announceFailed', 'removeFailed',
  'onItsWay', 'leftOver',
] as const

export type Labels = Readonly<Record<(typeof NAMES)[number], string>>

export function readLabels(json: string): Labels {
  const labels = JSON.parse(json) as Record<string, unknown>
  for (const name of NAMES) {
    if (typeof labels[name] !== 'string') throw new Error(`the template lacks the label ${name}`)
  }
  return labels as Labels
}

const UNITS = ['byte', 'kB', 'MB', 'GB', 'TB'] as const

export class Wording {
  private readonly percent: Intl.NumberFormat

  constructor(
    readonly labels: Labels,
    private readonly language: string,
  ) {
    this.percent = new Intl.NumberFormat(language, { style: 'percent' })
  }

  /** The same as the server's `filesize`. */
  size(bytes: number): string {
    let power = 0
    const rounded = (): number => {
      const digits = power > 1 ? 10 : 1
      return Math.round((bytes / 1000 ** power) * digits) / digits
    }
    while (power < UNITS.length - 1 && rounded() >= 1000) power += 1
    return `${rounded().toLocaleString(this.language, { maximumFractionDigits: 1 })} ${UNITS[power]}`
  }

  status(state: UploadState, totalBytes: number): string {
    // Rounded down: 100% would be said while the server is still checking.
    const share = (sentBytes: number): string =>
      this.percent.format(Math.floor((sentBytes / Math.max(totalBytes, 1)) * 100) / 100)
    switch (state.kind) {
      case 'waiting':
        return this.labels.waiting
      case 'uploading': {
        if (state.isStalled) return this.labels.offline
        const minutes = state.secondsLeft === undefined ? 0 : Math.ceil(state.secondsLeft / 60)
        // "About one minute" would stand there from the first second to the last.
        const sentence = minutes > 1 ? this.labels.minutesLeft : this.labels.uploading
        return fill(sentence, { percent: share(state.sentBytes), minutes: minutes.toLocaleString(this.language) })
      }
      case 'paused':
        return fill(this.labels.paused, { percent: share(state.sentBytes) })
      case 'offline':
        return this.labels.offline
      case 'done':
        return this.labels.done
      case 'failed':
        return this.reason(state.reason)
      case 'removed':
        return ''
    }
  }

  /** What to read out; nothing for what people did themselves and for everything in between. */
  announcement(name: string, state: UploadState): string {
    if (state.kind === 'done') return fill(this.labels.announceDone, { name })
    if (state.kind === 'failed') return fill(this.labels.announceFailed, { name, reason: this.reason(state.reason) })
    return ''
  }

  removeFailed(name: string): string {
    return fill(this.labels.announceFailed, { name, reason: this.labels.removeFailed })
  }

  private reason(reason: Reason): string {
    switch (reason.kind) {
      case 'empty':
        return this.labels.empty
      case 'folder':
        return this.labels.folder
      case 'tooLarge':
        return fill(this.labels.tooLarge, { limit: this.size(reason.limitBytes) })
      case 'noExtension':
        return this.labels.noExtension
      case 'extensionNotAllowed':
        return fill(this.labels.extensionNotAllowed, { extension: reason.extension })
      case 'damaged':
        return this.labels.damaged
      case 'unreadable':
        return this.labels.unreadable
      case 'signedOut':
        return this.labels.signedOut
      case 'problem':
        return reason.problem.detail || reason.problem.title
      case 'outage':
        return this.labels.failed
    }
  }
}

function fill(sentence: string, facts: Readonly<Record<string, string>>): string {
  return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => facts[name] ?? whole)
}
