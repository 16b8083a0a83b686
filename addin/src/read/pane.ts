/** The pane beside a mail that came in: ask its sender for documents, answer safely, or open what a notice is about. */
import { button, element } from '../element'
import { filled, type Words } from '../i18n/words'
import type { Outlook, ReceivedMail } from '../office/outlook'

/** The page in our portal that a notice of ours leads to; nothing in other mail, and never an address of others. */
export function noticeLink(text: string, portalUrl: string): string | undefined {
  const found = text.split(/\s+/).find((word) => word.startsWith(`${portalUrl}/received/`) || word.startsWith(`${portalUrl}/transfers/`))
  if (found === undefined) return undefined
  const path = found.slice(portalUrl.length)
  return /^\/(received|transfers)\/[a-z2-7]{26}$/.test(path) ? portalUrl + path : undefined
}

export async function showRead(
  root: HTMLElement,
  mail: ReceivedMail,
  outlook: Outlook,
  portalUrl: string,
  words: Words,
): Promise<void> {
  const link = noticeLink(await mail.text().catch(() => ''), portalUrl)
  const name = mail.senderName || mail.senderEmail
  // Behind the `#`, which no server and no log sees.
  const to = (path: string, values: Record<string, string>): string =>
    `${portalUrl}${path}#${new URLSearchParams(values).toString()}`
  const person = { name, email: mail.senderEmail }
  root.replaceChildren(
    element('h1', {}, words.readTitle),
    element('p', { class: 'zp-quiet' }, words.readWhy),
    element(
      'div',
      { class: 'zp-buttons zp-buttons--wide' },
      link !== undefined && button(words.openNotice, () => outlook.openWindow(link), { class: 'zp-primary' }),
      ...(link === undefined
        ? [
            button(
              filled(words.answerSafely, { name }),
              () => outlook.openWindow(to('/transfers/new', { ...person, subject: `Re: ${mail.subject}` })),
              { class: 'zp-primary' },
            ),
            button(filled(words.askDocuments, { name }), () =>
              outlook.openWindow(to('/requests/new', { ...person, subject: mail.subject })),
            ),
          ]
        : []),
    ),
  )
}
