/**
 * The page `/demo/outlook`: a mail client of cardboard around the real pane, the real guard and the real server. Loaded in the pane's
 * frame and in the dialog, it only gives them their `Office`.
 */
import { has } from './stand-in/clients'
import { type Mailbox, officeOver } from './stand-in/outlook'

declare global {
  interface Window {
    mailbox?: Mailbox
    /** Whoever plays Microsoft here, if anyone does: the journeys do. */
    zegelpostIssuer?: (asked: string) => Promise<string>
  }
}

interface StandIn {
  readonly actions: { readonly associated: Record<string, (event: unknown) => void> }
}

/** What the real client's script puts there. */
const outlook = window as unknown as { Office: StandIn }

const DOCUMENT = btoa(`%PDF-1.7\n1 0 obj << >> endobj\n${'besluit '.repeat(4000)}\ntrailer << >>\n%%EOF\n`)

// Slower than anybody likes, and quicker than the pane gives up.
const SLOW_MS = 1_500

function base64Of(file: File): Promise<string> {
  return new Promise((resolve) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result).split(',')[1] ?? '')
    reader.readAsDataURL(file)
  })
}

function mailboxFrom(page: HTMLElement): Mailbox {
  const mode = page.dataset.mode === 'read' ? 'read' : 'compose'
  const rosa = { displayName: 'Rosa Visser', emailAddress: 'rosa@zorg.example', recipientType: 'externalUser' }
  const issuer = window.zegelpostIssuer
  return {
    issuer: issuer && ((asked) => issuer(JSON.stringify(asked))),
    client: page.dataset.client ?? 'web',
    language: document.documentElement.lang === 'nl' ? 'nl-NL' : 'en-GB',
    mode,
    to: [rosa],
    cc: [{ displayName: 'Bram Jansen', emailAddress: 'bram@zegelpost.example', recipientType: 'user' }],
    bcc: [],
    subject: page.dataset.subjectText ?? (mode === 'read' ? 'Vraag over mijn dossier' : 'Besluit in uw dossier'),
    body:
      page.dataset.bodyText ?? (mode === 'read' ? 'Kunt u mij het besluit sturen?' : 'Beste mevrouw Visser,\n\nHierbij het besluit.'),
    from: mode === 'read' ? rosa : { displayName: 'Anna de Vries', emailAddress: 'anna@zegelpost.example' },
    attachments:
      mode === 'read'
        ? []
        : [{ id: '1', name: 'besluit.pdf', size: 32_000, isInline: false, attachmentType: 'file', content: DOCUMENT }],
    headers: {},
    isClosed: false,
    notices: {},
    failing: new Set(),
    silent: new Set(),
    delayMs: 5,
    settings: {},
    isDark: matchMedia('(prefers-color-scheme: dark)').matches,
    handlers: {},
    changed: () => undefined,
  }
}

/** The mail client: fields people can change, the attachments, and Send, which asks the guard. */
function mailClient(page: HTMLElement): void {
  const box = mailboxFrom(page)
  window.mailbox = box
  outlook.Office = officeOver(box, window) as StandIn
  const part = <E extends HTMLElement>(name: string): E => page.querySelector<E>(`[data-${name}]`) as E
  const from = part<HTMLInputElement>('from')
  const to = part<HTMLInputElement>('to')
  const subject = part<HTMLInputElement>('subject')
  const body = part<HTMLTextAreaElement>('body')
  const answer = part('answer')

  function show(): void {
    const focused = document.activeElement
    if (focused !== from) from.value = box.from.emailAddress
    if (focused !== to) to.value = [...box.to, ...box.cc, ...box.bcc].map((each) => each.emailAddress).join('; ')
    if (focused !== subject) subject.value = box.subject
    if (focused !== body) body.value = box.body
    part('attachments').textContent = box.attachments.map((each) => each.name).join(', ') || '–'
    page.dataset.theme = box.isDark ? 'dark' : 'light'
    part('notice').textContent = Object.values(box.notices).join(' ')
    page.dataset.closed = String(box.isClosed)
    part('window').hidden = box.isClosed
    part('closed').hidden = !box.isClosed
  }

  const tell = (event: string, what: unknown = {}): void => (box.handlers[event] ?? []).forEach((listener) => listener(what))
  to.addEventListener('change', () => {
    box.to = to.value
      .split(/[;,]/)
      .map((each) => each.trim())
      .filter(Boolean)
      .map((email) => ({
        displayName: email,
        emailAddress: email,
        recipientType: /^(lijst|list)\b/.test(email) ? 'distributionList' : 'externalUser',
      }))
    box.cc = box.bcc = []
    tell('RecipientsChanged')
  })
  // Outlook tells nothing of these.
  from.addEventListener('change', () => void (box.from = { displayName: from.value, emailAddress: from.value }))
  subject.addEventListener('change', () => void (box.subject = subject.value))
  body.addEventListener('change', () => void (box.body = body.value))
  part('attach').addEventListener('change', () => void attach())
  part('empty').addEventListener('change', () => {
    for (const each of box.attachments) each.content = part<HTMLInputElement>('empty').checked ? '' : (contents.get(each.id) ?? '')
  })
  part('slow').addEventListener('change', () => (box.delayMs = part<HTMLInputElement>('slow').checked ? SLOW_MS : 5))
  part('dark').addEventListener('change', () => {
    box.isDark = part<HTMLInputElement>('dark').checked
    show()
    tell('OfficeThemeChanged')
  })
  part<HTMLInputElement>('dark').checked = box.isDark

  const contents = new Map(box.attachments.map(({ id, content }) => [id, content]))
  /** Put files beside the mail, as large ones as a mailbox takes. */
  async function attach(): Promise<void> {
    const input = part<HTMLInputElement>('attach')
    for (const file of input.files ?? []) {
      const id = String(contents.size + 1)
      const content = await base64Of(file)
      contents.set(id, content)
      box.attachments = [...box.attachments, { id, name: file.name, size: file.size, isInline: false, attachmentType: 'file', content }]
    }
    input.value = ''
    show()
    tell('AttachmentsChanged')
  }

  part('send').addEventListener('click', () => {
    const guard = outlook.Office.actions.associated.onMessageSendHandler
    const leave = (): void => {
      answer.textContent = `${answer.dataset.sent ?? ''} ${box.to.map((each) => each.emailAddress).join(', ')}`
      part('left').textContent = answer.textContent
      box.isClosed = true
      show()
    }
    // Outlook on the web of Exchange on-premises runs no guard.
    if (!guard || !has(box.client, 'OnMessageSend')) {
      leave()
      return
    }
    guard({
      completed: (options: { allowEvent: boolean; errorMessage?: string }) => {
        if (options.allowEvent) leave()
        else answer.textContent = options.errorMessage ?? ''
      },
    })
  })
  part('open').addEventListener('click', () => {
    const frame = part<HTMLIFrameElement>('frame')
    frame.src = frame.dataset.src ?? ''
    frame.hidden = false
  })
  box.changed = show
  show()
}

const page = document.querySelector<HTMLElement>('[data-outlook]')
if (page) mailClient(page)
else if (window.parent !== window && window.parent.mailbox) outlook.Office = officeOver(window.parent.mailbox, window) as StandIn
else outlook.Office = officeOver(mailboxFrom(document.documentElement), window) as StandIn
