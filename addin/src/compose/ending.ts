/** What the pane says when there is nothing left to do in it. */
import type { Transfer } from '../api/client'
import { element } from '../element'
import { filled, type Words } from '../i18n/words'
import { numberOf } from './statement'

/** What became of the draft. `isCopy`: people send it to themselves. `isBlind`: what is attached, Outlook neither tells nor lets go. */
export interface Rest {
  readonly isCopy: boolean
  readonly isBlind: boolean
}

/** It was sent. */
export function sentPage(transfer: Transfer, { isCopy, isBlind }: Rest, words: Words): readonly HTMLElement[] {
  const waiting = transfer.recipients.filter((each) => each.state === 'parked').map((each) => each.name || each.email)
  return [
    element('h1', { tabindex: '-1', id: 'done' }, words.done),
    ...(waiting.length < transfer.recipients.length ? [element('p', {}, words.doneWhy)] : []),
    ...(waiting.length > 0 ? [element('p', { class: 'zp-warning' }, filled(words.doneParked, { names: waiting.join(', ') }))] : []),
    ...(isCopy && isBlind ? [element('p', { class: 'zp-warning' }, words.doneCopyBlind)] : []),
    element('p', {}, isCopy ? words.doneCopy : isBlind ? words.doneBlind : words.doneDraft),
    number(transfer, words),
  ]
}

/** It was sent, and Outlook did not let the draft be emptied. */
export function notEmptiedPage(transfer: Transfer, words: Words): readonly HTMLElement[] {
  return [
    element('h1', {}, words.done),
    element('p', { class: 'zp-problem', role: 'alert' }, words.notEmptied),
    number(transfer, words),
  ]
}

/** It was sent before: the draft is what is left of it. */
export function alreadyPage(words: Words): readonly HTMLElement[] {
  return [element('h1', {}, words.title), element('p', {}, words.already)]
}

function number(transfer: Transfer, words: Words): HTMLElement {
  return element('p', { class: 'zp-quiet' }, filled(words.doneNumber, { number: numberOf(transfer) }))
}
