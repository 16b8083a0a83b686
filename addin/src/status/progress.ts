/** How far someone is with what they were sent, in words. */
import type { SentRecipient } from '../api/client'
import { filled, type Words } from '../i18n/words'

type Progress = Pick<SentRecipient, 'name' | 'email' | 'state' | 'opened_at' | 'fetched_at' | 'code'>

const BAD_CODES = ['undelivered', 'failed']

/** Fetched counts for more than opened; for who did neither, what is in the way. */
export function progressOf(recipient: Progress, words: Words, moments: Intl.DateTimeFormat): string {
  const { name, email, opened_at, fetched_at } = recipient
  const moment = fetched_at ?? opened_at
  return filled(sentenceOf(recipient, words), { name: name || email, moment: moment ? moments.format(new Date(moment)) : '' })
}

function sentenceOf({ state, opened_at, fetched_at, code }: Progress, words: Words): string {
  if (state === 'locked') return words.locked
  if (state === 'blocked') return words.blocked
  if (fetched_at) return words.fetchedAt
  if (opened_at) return words.openedAt
  if (state === 'parked') return words.parked
  if (state === 'undelivered') return words.notDelivered
  if (state === 'delayed') return words.delayed
  return code && BAD_CODES.includes(code.state) ? words.codeLost : words.notOpened
}
