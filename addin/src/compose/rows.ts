/** The rows of the compose pane. They show and report; the pane decides. */
import { button, element } from '../element'
import { filled, type Words } from '../i18n/words'
import { extensionOf, type Fate } from './fates'
import type { Person } from './people'

export interface PersonChanges {
  typed(number: string): void
  park(isParked: boolean): void
  call(isCalled: boolean): void
  keep(isKept: boolean): void
}

/** What the pane knows of somebody besides who they are. */
export interface PersonState {
  readonly isKept: boolean
  /** What is wrong with their number, in words; empty when nothing is, or nobody tried yet. */
  readonly problem: string
  /** Whether the others may get it first, which is offered to whoever got stuck on a number. */
  readonly mayPark: boolean
  /** Whether the organisation can have codes read out, which is offered likewise. */
  readonly mayCall: boolean
}

/** Somebody outside, whose number people fill in or change. */
export function outsiderRow(
  person: Person,
  position: number,
  state: PersonState,
  words: Words,
  day: (moment: string) => string,
  changes: PersonChanges,
): HTMLElement {
  const id = `mobile-${position}`
  const input = element('input', {
    id,
    type: 'tel',
    value: person.mobile,
    autocomplete: 'off',
    'aria-describedby': `${id}-hint ${id}-error`,
    'aria-invalid': state.problem !== '' && 'true',
  })
  const hint = element('p', { class: 'zp-quiet', id: `${id}-hint` }, hintOf(person, words, day))
  const keep = check(`keep-${position}`, words.keep, state.isKept, (isKept) => changes.keep(isKept))
  keep.hidden = person.known !== undefined
  input.addEventListener('input', () => {
    // Not from the book any more. Changed in place: a list that is made anew moves under people's hands.
    hint.textContent = words.mobileWhy
    keep.hidden = false
    changes.typed(input.value)
  })
  const row = element(
    'div',
    { class: 'zp-row' },
    nameOf(person),
    element('label', { for: id }, words.mobile, element('span', { class: 'zp-hidden' }, ` ${filled(words.of, { name: person.name })}`)),
    input,
    hint,
    element('p', { class: 'zp-problem', id: `${id}-error`, hidden: state.problem === '' }, state.problem),
    keep,
  )
  if (state.mayCall && (person.isCalled || state.problem !== '')) {
    row.append(check(`call-${position}`, words.call, person.isCalled, (isCalled) => changes.call(isCalled)))
  }
  if (state.mayPark && (person.isParked || state.problem !== '')) {
    row.append(
      check(`park-${position}`, words.park, person.isParked, (isParked) => changes.park(isParked)),
      element('p', { class: 'zp-quiet' }, words.parkWhy),
    )
  }
  return row
}

/** A list, which has to be taken apart first. */
export function listRow(person: Person, words: Words): HTMLElement {
  return element('div', { class: 'zp-row' }, nameOf(person), element('p', { class: 'zp-warning' }, words.list))
}

/** All colleagues in one, as there is nothing to do about them. */
export function colleaguesRow(people: readonly Person[], words: Words): HTMLElement {
  return element(
    'div',
    { class: 'zp-row' },
    ...people.map((each) => nameOf(each)),
    element('p', { class: 'zp-quiet' }, people.length === 1 ? words.colleague : words.colleagues),
  )
}

function nameOf({ name, email }: Person): HTMLElement {
  return element('p', {}, element('strong', {}, name), name !== email && element('span', { class: 'zp-quiet' }, ` ${email}`))
}

function hintOf(person: Person, words: Words, day: (moment: string) => string): string {
  if (!person.known) return words.mobileWhy
  const { how, at } = person.known
  return filled({ worked: words.fromBookWorked, listed: words.fromList, saved: words.fromBook }[how], { day: day(at) })
}

function check(id: string, label: string, isChecked: boolean, changed: (isChecked: boolean) => void): HTMLElement {
  const box = element('input', { type: 'checkbox', id, checked: isChecked })
  box.addEventListener('change', () => changed(box.checked))
  return element('div', { class: 'zp-check' }, box, element('label', { for: id }, label))
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
  if (remove) row.append(button(words.remove, remove, { 'aria-label': `${words.remove} ${name}` }))
  return row
}
