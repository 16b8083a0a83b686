/** Why it did not work, in one sentence, and what people can do. */
import { Refused, Unreachable } from '../api/client'
import { filled, type Words } from '../i18n/words'
import { OfficeProblem } from '../office/calls'
import type { Reason } from '../upload/reason'
import { said } from './rows'
import { NotHandedOver, Stopped, UploadFailed } from './sending'

/** `away` is said when the server can't be reached. */
export function sentenceOf(error: unknown, words: Words, away: string = words.unreachable): string {
  if (error instanceof Stopped) return words.stopped
  if (error instanceof NotHandedOver) return error.attachments.map((each) => `${each.name}: ${words.unreadable}`).join(' ')
  if (error instanceof Refused) {
    if (error.problem.code === 'sign_in_required') return words.signInAgain
    return Object.values(error.problem.fields ?? {})[0]?.detail ?? (error.problem.detail || words.failed)
  }
  if (error instanceof UploadFailed) {
    const { state, file } = error.upload
    return state.kind === 'failed' ? reasonOf(state.reason, file.name, words) : words.failed
  }
  if (error instanceof Unreachable) return away
  if (error instanceof OfficeProblem) return error.call === 'dialog' ? words.signInAgain : words.outlookFailed
  return words.failed
}

/** Whether nobody but a helper can say more: then they are told which Outlook it was, and what it did not do. */
export function isOutlooks(error: unknown): error is OfficeProblem {
  return error instanceof OfficeProblem && error.call !== 'dialog'
}

/** Whether an upload ended because the token did. */
export function isSignedOut(error: unknown): boolean {
  return error instanceof UploadFailed && error.upload.state.kind === 'failed' && error.upload.state.reason.kind === 'signedOut'
}

function reasonOf(reason: Reason, name: string, words: Words): string {
  switch (reason.kind) {
    case 'problem':
      return `${name}: ${reason.problem.detail}`
    case 'damaged':
      return filled(words.damaged, { name })
    case 'signedOut':
      return words.signInAgain
    case 'outage':
      return words.unreachable
    case 'unreadable':
      return filled(words.changed, { name })
    case 'empty':
    case 'tooLarge':
      return `${name}: ${said(reason.kind, name, words)}`
    default:
      return `${name}: ${said('notAllowed', name, words)}`
  }
}
