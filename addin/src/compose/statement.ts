/** What a draft says when its content went through the secure channel. Never a link, a code, a note or a document's name. */
import type { Transfer } from '../api/client'
import { filled, type Words } from '../i18n/words'

/** What people call a transfer: the first eight characters of its identifier, as the portal shows it. */
export function numberOf(transfer: Pick<Transfer, 'id'>): string {
  return `${transfer.id.slice(0, 4)}-${transfer.id.slice(4, 8)}`.toUpperCase()
}

/** `isCopy`: it is kept, so it says to whom as well, and where to see more. */
export function statementOf(
  transfer: Pick<Transfer, 'id' | 'reference' | 'recipients'>,
  { day, isCopy, portalUrl }: { readonly day: string; readonly isCopy: boolean; readonly portalUrl: string },
  words: Words,
): string {
  const sent = filled(words.statement, { day, number: numberOf(transfer) })
  const reference = transfer.reference ? filled(words.statementReference, { reference: transfer.reference }) : ''
  if (!isCopy) return [sent, reference, words.statementEnd].filter(Boolean).join(' ')
  const people = transfer.recipients.map(({ name, email }) => (name === email ? email : `${name} <${email}>`))
  return [
    [sent, reference].filter(Boolean).join(' '),
    `${words.statementTo}\n${people.join('\n')}`,
    `${words.statementMore}\n${portalUrl}/transfers/${transfer.id}`,
    words.statementCopy,
  ].join('\n\n')
}
