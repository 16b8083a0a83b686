/** What became of the latest transfers, without leaving Outlook. */
import { type Client, type Policy, Refused, type Transfer } from '../api/client'
import { sentenceOf } from '../compose/explaining'
import { button, element } from '../element'
import type { Facts } from '../facts'
import { timesIn } from '../i18n/moments'
import type { Words } from '../i18n/words'
import type { Outlook } from '../office/outlook'
import { type Around, transferRow } from './transfer-row'

const SHOWN = 5

/**
 * A part of the page that people open when they want it; nothing is asked of the server before that. `seen` is called with what is
 * shown, whenever that is read anew.
 */
export function statusPart(
  client: Client,
  outlook: Outlook,
  facts: Facts,
  words: Words,
  language: string,
  seen: (transfers: readonly Transfer[]) => void = () => undefined,
): HTMLDetailsElement {
  const body = element('div', { class: 'zp-list' })
  const news = element('p', { role: 'status', class: 'zp-quiet' })
  const details = element('details', { id: 'status' }, element('summary', {}, words.recent), news, body)
  let policy: Policy | undefined

  async function load(): Promise<void> {
    policy ??= await client.policy()
    const { longest_expiry_days: longestDays } = policy
    const recent = (await client.recent()).slice(0, SHOWN)
    const full = await Promise.all(recent.map((each) => client.transfer(each.id)))
    seen(full)
    body.replaceChildren(
      ...(full.length > 0 ? full.map((each) => transferRow(each, around(each.id, longestDays))) : [words.noneYet]),
      button(words.allTransfers, () => outlook.openWindow(`${facts.portal_url}/sent`)),
    )
  }

  function around(id: string, longestDays: number): Around {
    return {
      client,
      words,
      longestDays,
      ...timesIn(language),
      open: (path) => outlook.openWindow(`${facts.portal_url}/transfers/${id}${path}`),
      perform,
    }
  }

  async function perform<T>(work: () => Promise<T>, done: (result: T) => string): Promise<void> {
    news.textContent = ''
    try {
      const said = done(await work())
      if (said === '') return
      // At once: it is done, whether or not the list can be read anew.
      news.textContent = said
      news.scrollIntoView({ block: 'nearest' })
      await load().catch(() => undefined)
    } catch (error) {
      // What is wrong with a field is said beside it.
      if (!(error instanceof Refused && error.problem.fields)) news.textContent = sentenceOf(error, words, words.statusUnreachable)
      throw error
    }
  }

  details.addEventListener('toggle', () => {
    if (!details.open) return
    news.textContent = words.loading
    load()
      .then(() => (news.textContent = ''))
      .catch((error: unknown) => (news.textContent = sentenceOf(error, words, words.statusUnreachable)))
  })
  return details
}
