/** Who fetched which document, from the evidence of a transfer. */
import type { Report } from '../api/client'
import { element } from '../element'
import { filled, type Words } from '../i18n/words'

export function reportPart(report: Report, words: Words, moments: Intl.DateTimeFormat): HTMLElement {
  return element(
    'div',
    { class: 'zp-list' },
    ...report.recipients.map((person) =>
      element(
        'div',
        {},
        element('strong', {}, person.name || person.email),
        element('p', { class: 'zp-quiet' }, person.proved ? filled(words.provedAt, { moment: at(person.proved.utc, moments) }) : words.notProved),
        element('ul', { class: 'zp-people' }, ...fetchedBy(person.number, report, words, moments).map((line) => element('li', {}, line))),
      ),
    ),
  )
}

/** A line for each document. */
export function fetchedBy(person: number, report: Report, words: Words, moments: Intl.DateTimeFormat): readonly string[] {
  return report.documents.map(({ number, name }) => {
    const found = report.fetched.find((each) => each.recipient_number === person && each.document_number === number)
    const document = name ?? filled(words.documentNumber, { number })
    return found
      ? filled(words.documentFetched, { document, moment: at(found.first.utc, moments) })
      : filled(words.documentNotFetched, { document })
  })
}

function at(moment: string, moments: Intl.DateTimeFormat): string {
  return moments.format(new Date(moment))
}
