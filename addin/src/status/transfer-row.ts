/** One transfer: how far everybody is, and what its sender can do about it. */
import { type Client, Refused, type SentRecipient, type Transfer } from '../api/client'
import { numberOf } from '../compose/statement'
import { button, element } from '../element'
import { filled, type Words } from '../i18n/words'
import { daysForFourWeeksMore } from './extending'
import { progressOf } from './progress'
import { reportPart } from './report'

/** What a row stands on. */
export interface Around {
  readonly client: Client
  readonly words: Words
  readonly moments: Intl.DateTimeFormat
  readonly days: Intl.DateTimeFormat
  readonly longestDays: number
  /** Open the transfer's own page, or one below it, in a browser. */
  open(path: string): void
  /** Do it, read everything anew, and say what it came to. Rejects when it was refused, of which has been told. */
  perform<T>(work: () => Promise<T>, done: (result: T) => string): Promise<void>
}

export function transferRow(transfer: Transfer, around: Around): HTMLElement {
  const { words } = around
  const isSent = transfer.state === 'sent'
  const name = transfer.subject ?? numberOf(transfer)
  const opened = transfer.recipients.filter((each) => each.opened_at !== null).length
  return element(
    'div',
    { class: 'zp-row', role: 'group', 'aria-label': name },
    element('strong', {}, name),
    element('p', { class: 'zp-quiet' }, lineOf(transfer, around)),
    element('p', {}, stateOf(transfer, opened, words)),
    element('ul', { class: 'zp-people' }, ...transfer.recipients.map((each) => personItem(each, transfer, around))),
    actions(transfer, isSent, around),
  )
}

function lineOf(transfer: Transfer, { words, moments, days }: Around): string {
  const sent = transfer.sent_at ? moments.format(new Date(transfer.sent_at)) : ''
  const until = transfer.expires_at && transfer.state === 'sent' ? filled(words.until, { day: days.format(new Date(transfer.expires_at)) }) : ''
  return [numberOf(transfer), sent, until].filter(Boolean).join(' · ')
}

function stateOf(transfer: Transfer, opened: number, words: Words): string {
  if (transfer.state === 'revoked') return words.revoked
  if (transfer.state === 'expired' || transfer.state === 'erased') return words.expired
  return filled(words.opened, { opened, all: transfer.recipients.length })
}

function personItem(person: SentRecipient, transfer: Transfer, around: Around): HTMLElement {
  const { client, words } = around
  const item = element('li', {}, progressOf(person, words, around.moments))
  if (transfer.state !== 'sent') return item
  if (person.state === 'parked') item.append(numberForm(person, transfer, around))
  if (person.state === 'locked') {
    const act = (): void => void around.perform(() => client.reissue(transfer.id, person.id), () => words.reissued).catch(() => undefined)
    item.append(element('div', {}, button(words.reissue, act, { 'aria-label': `${words.reissue}: ${person.name}` })))
  }
  return item
}

/** The number that somebody waits for. A form, so that Enter sends it. */
function numberForm(person: SentRecipient, transfer: Transfer, { client, words, perform }: Around): HTMLElement {
  const id = `number-${person.id}`
  const input = element('input', { id, type: 'tel', autocomplete: 'off', 'aria-describedby': `${id}-error` })
  const error = element('p', { class: 'zp-problem', id: `${id}-error`, role: 'alert', hidden: true })
  const form = element(
    'form',
    { class: 'zp-number' },
    element('label', { for: id }, filled(words.mobileOf, { name: person.name || person.email })),
    input,
    error,
    element('button', { type: 'submit' }, words.completeNow),
  )
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    error.hidden = true
    perform(
      () => client.complete(transfer.id, person.id, input.value),
      () => filled(words.completed, { name: person.name || person.email }),
    ).catch((reason: unknown) => {
      const detail = reason instanceof Refused ? reason.problem.fields?.mobile?.detail : undefined
      if (detail === undefined) return
      error.textContent = detail
      error.hidden = false
      input.focus()
    })
  })
  return form
}

function actions(transfer: Transfer, isSent: boolean, around: Around): HTMLElement {
  const { client, words, perform, open } = around
  const about = (label: string): { 'aria-label': string } => ({ 'aria-label': `${label}: ${transfer.subject ?? numberOf(transfer)}` })
  const report = element('div', { class: 'zp-list' })
  const buttons = element('div', { class: 'zp-buttons' })
  const act = <T>(label: string, work: () => Promise<T>, done: (result: T) => string): HTMLButtonElement =>
    button(label, () => void perform(work, done).catch(() => undefined), about(label))
  const days = transfer.expires_at ? daysForFourWeeksMore(transfer.expires_at, new Date(), around.longestDays) : undefined
  const waits = transfer.recipients.some((each) => each.fetched_at === null && ['waiting', 'opened', 'delayed'].includes(each.state))

  async function showReport(): Promise<void> {
    report.replaceChildren(reportPart(await client.report(transfer.id), words, around.moments), wholeReport())
  }
  const wholeReport = (): HTMLButtonElement => button(words.wholeReport, () => open('/report'), about(words.wholeReport))
  /** Asked once more: what is revoked can't be opened again. */
  function askToRevoke(): void {
    const sure = act(words.revokeNow, () => client.revoke(transfer.id), () => words.revoked)
    const question = element('p', { class: 'zp-warning', role: 'alert' }, words.revokeSure)
    buttons.replaceChildren(question, sure, button(words.cancel, () => show(), about(words.cancel)))
    sure.focus()
  }
  function show(): void {
    buttons.replaceChildren(
      ...(isSent && waits ? [act(words.remind, () => client.remind(transfer.id), () => words.reminded)] : []),
      ...(isSent && days ? [act(words.extend, () => client.extend(transfer.id, days), extended)] : []),
      ...(isSent ? [button(words.revoke, askToRevoke, about(words.revoke))] : []),
      act(words.report, showReport, () => ''),
      button(words.details, () => open(''), about(words.details)),
    )
  }
  const extended = ({ expires_at }: Transfer): string =>
    filled(words.extended, { day: expires_at ? around.days.format(new Date(expires_at)) : '' })

  show()
  return element('div', { class: 'zp-list' }, buttons, report)
}
