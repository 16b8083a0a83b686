/** How far someone is with what they were sent, in words. */
import type { Transfer } from './api/client'
import { filled, type Words } from './i18n/words'

type Progress = Pick<Transfer['recipients'][number], 'name' | 'email' | 'state' | 'opened_at' | 'fetched_at'>

/** Fetched counts for more than opened; for who did neither, whether the mail arrived. */
export function progressOf({ name, email, state, opened_at, fetched_at }: Progress, words: Words, moments: Intl.DateTimeFormat): string {
  const moment = fetched_at ?? opened_at
  const unopened: Record<string, string> = { undelivered: words.notDelivered, delayed: words.delayed }
  const text = fetched_at ? words.fetchedAt : opened_at ? words.openedAt : (unopened[state] ?? words.notOpened)
  return filled(text, { name: name || email, moment: moment ? moments.format(new Date(moment)) : '' })
}
