/** The rows of the compose pane. They show and report; the pane decides. */
import { button, element } from '../element'
import { filled, type Words } from '../i18n/words'
import type { DocumentUpload } from '../upload/upload'
import { extensionOf, type Fate } from './fates'
import type { Person } from './people'

export interface PersonChanges {
  typed(number: string): void
  keep(isKept: boolean): void
}

/** Somebody who gets it. Only someone outside has a number, which people may change. */
export function personRow(
  person: Person,
  position: number,
  isKept: boolean,
  words: Words,
  day: (moment: string) => string,
  changes: PersonChanges,
): HTMLElement {
  const name = element('strong', {}, person.name)
  const row = element('div', { class: 'zp-row' }, name, person.name === person.email ? '' : ` ${person.email}`)
  if (person.isList || person.isColleague) {
    row.append(element('p', { class: person.isList ? 'zp-warning' : 'zp-quiet' }, person.isList ? words.list : words.colleague))
    return row
  }
  const id = `mobile-${position}`
  const input = element('input', { id, type: 'tel', value: person.mobile, autocomplete: 'off', 'aria-describedby': `${id}-hint` })
  input.addEventListener('input', () => changes.typed(input.value))
  const hint =
    person.source !== 'book'
      ? words.mobileWhy
      : person.workedAt
        ? filled(words.fromBookWorked, { day: day(person.workedAt) })
        : person.proposedAt
          ? filled(words.fromList, { day: day(person.proposedAt) })
          : words.fromBook
  row.append(
    element('label', { for: id }, filled(words.mobileOf, { name: person.name })),
    input,
    element('p', { class: 'zp-quiet', id: `${id}-hint` }, hint),
    element('p', { class: 'zp-problem', id: `${id}-error`, hidden: true }),
  )
  if (person.source !== 'book') {
    const keep = element('input', { type: 'checkbox', id: `keep-${position}`, checked: isKept })
    keep.addEventListener('change', () => changes.keep(keep.checked))
    row.append(element('div', { class: 'zp-check' }, keep, element('label', { for: keep.id }, words.keep)))
  }
  return row
}

/** The sentence about a fate. */
export function said(fate: Fate, name: string, words: Words): string {
  return filled(words[fate], { extension: extensionOf(name) })
}

/** A document, with what becomes of it; `remove` for a file that was chosen here. */
export function documentRow(name: string, fate: Fate, words: Words, remove?: () => void): HTMLElement {
  const isQuiet = fate === 'willGo' || fate === 'replaced'
  const row = element(
    'div',
    { class: 'zp-row' },
    element('strong', {}, name),
    element('p', { class: isQuiet ? 'zp-quiet' : 'zp-warning' }, said(fate, name, words)),
  )
  if (remove) {
    const take = button(words.remove, remove)
    take.append(element('span', { class: 'zp-hidden' }, ` ${name}`))
    row.append(take)
  }
  return row
}

/** A document on its way. */
export function uploadRow(
  { file, state }: DocumentUpload,
  language: string,
  words: Words,
  act: { pause(): void; resume(): void },
): HTMLElement {
  const percent = new Intl.NumberFormat(language, { style: 'percent' })
  const sent = state.kind === 'done' ? 1 : 'sentBytes' in state ? state.sentBytes / Math.max(file.size, 1) : 0
  const isStalled = state.kind === 'offline' || (state.kind === 'uploading' && state.isStalled)
  const text = state.kind === 'paused' ? words.paused : isStalled ? words.stalled : words.uploading
  return element(
    'div',
    { class: 'zp-row' },
    filled(text, { name: file.name, percent: percent.format(Math.floor(sent * 100) / 100) }),
    element('progress', { max: '1', value: String(sent), 'aria-label': file.name }),
    state.kind === 'paused' ? button(words.resume, () => act.resume()) : state.kind === 'uploading' && button(words.pause, () => act.pause()),
  )
}
