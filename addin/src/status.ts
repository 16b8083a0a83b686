/** What became of the latest transfers, without leaving Outlook. */
import type { Client, Transfer } from './api/client'
import { numberOf } from './compose/pane'
import { button, element } from './element'
import { filled, type Words } from './i18n/words'
import type { Outlook } from './office/outlook'
import { progressOf } from './progress'

const SHOWN = 5
const FOUR_WEEKS = 28 // days, from now

/** A part of the page that people open when they want it; nothing is asked of the server before that. */
export function statusPart(
  client: Client,
  outlook: Outlook,
  portalUrl: string,
  words: Words,
  language: string,
): HTMLElement {
  const moments = new Intl.DateTimeFormat(language === 'nl' ? 'nl-NL' : 'en-GB', { dateStyle: 'medium', timeStyle: 'short' })
  const body = element('div', { class: 'zp-list' })
  const news = element('p', { role: 'status', class: 'zp-quiet' })
  const details = element('details', { id: 'status' }, element('summary', {}, words.recent), news, body)

  async function load(): Promise<void> {
    const recent = (await client.recent()).slice(0, SHOWN)
    const full = await Promise.all(recent.map((each) => client.transfer(each.id)))
    body.replaceChildren(...(full.length ? full.map(row) : [words.noneYet]))
  }

  function row(transfer: Transfer): HTMLElement {
    const opened = transfer.recipients.filter((each) => each.opened_at !== null).length
    const all = transfer.recipients.length
    const page = `${portalUrl}/transfers/${transfer.id}`
    const act = (label: string, work: () => Promise<unknown>, done: string): HTMLButtonElement =>
      button(label, () => void perform(work, done), { 'aria-label': `${label}: ${transfer.subject ?? numberOf(transfer)}` })
    // Asked once more: what is revoked can't be opened again.
    let isAsked = false
    const revoke = button(words.revoke, () => {
      if (isAsked) {
        void perform(() => client.revoke(transfer.id), words.revoked)
        return
      }
      isAsked = true
      news.textContent = words.revokeSure
    })
    return element(
      'div',
      { class: 'zp-row' },
      element('strong', {}, transfer.subject ?? numberOf(transfer)),
      element('p', { class: 'zp-quiet' }, transfer.state === 'revoked' ? words.revoked : filled(words.opened, { opened, all })),
      element('ul', { class: 'zp-people' }, ...transfer.recipients.map((each) => element('li', {}, progressOf(each, words, moments)))),
      element(
        'div',
        { class: 'zp-buttons' },
        button(words.details, () => outlook.openWindow(page)),
        button(words.report, () => outlook.openWindow(`${page}/report`)),
        ...(transfer.state === 'sent'
          ? [
              opened < all && act(words.remind, () => client.remind(transfer.id), words.reminded),
              act(words.extend, () => client.extend(transfer.id, FOUR_WEEKS), words.extended),
              revoke,
            ]
          : []),
      ),
    )
  }

  async function perform(work: () => Promise<unknown>, done: string): Promise<void> {
    try {
      await work()
      await load()
      news.textContent = done
    } catch (error) {
      news.textContent = sentenceOf(error, words)
    }
  }

  details.addEventListener('toggle', () => {
    if (details.open) void load().catch((error: unknown) => (news.textContent = sentenceOf(error, words)))
  })
  return details
}

function sentenceOf(error: unknown, words: Words): string {
  const problem = (error as { problem?: { detail?: string } }).problem
  return problem?.detail || words.unreachable
}
