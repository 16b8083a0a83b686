/**
 * A stand-in for Outlook, for the demonstration and for tests: one draft or one mail, with the behaviour that hurts in the real one.
 * In the page of the demonstration it is the mail client; inside the pane's frame it is what `Office` is there.
 */

import { has, platformOf, setOf } from './clients'
import { type Issuer, nestedBridge } from './nested'

export interface MailRecipient {
  displayName: string
  emailAddress: string
  recipientType: string
}

export interface MailAttachment {
  id: string
  name: string
  size: number
  isInline: boolean
  attachmentType: string
  /** Base64; empty for what data-loss software holds back. */
  content: string
}

export interface Mailbox {
  client: string
  language: string
  mode: 'compose' | 'read'
  to: MailRecipient[]
  cc: MailRecipient[]
  bcc: MailRecipient[]
  subject: string
  body: string
  from: { displayName: string; emailAddress: string }
  attachments: MailAttachment[]
  headers: Record<string, string>
  isClosed: boolean
  notices: Record<string, string>
  /** Names of calls that fail, or never answer, from now on. */
  failing: Set<string>
  silent: Set<string>
  /** How long every answer takes, in milliseconds. */
  delayMs: number
  /** What the add-in keeps in the mailbox. */
  settings: Record<string, string>
  isDark: boolean
  handlers: Record<string, ((event: unknown) => void)[]>
  changed: () => void
  /** Gives tokens, in clients that can sign in by themselves. */
  issuer?: Issuer | undefined
}

type Callback<T> = (result: { status: string; value: T }) => void

/** The global `Office` over a mailbox, as the given client has it. */
export function officeOver(box: Mailbox, frame: Window): unknown {
  if (box.issuer) Object.assign(frame, { nestedAppAuthBridge: nestedBridge(box.issuer) })
  let running = 0

  function answer<T>(name: string, callback: Callback<T>, act: () => T): void {
    if (!has(box.client, name)) throw new TypeError(`${name} is not a function`)
    if (box.silent.has(name)) return
    // Web clients take three calls at once; what comes besides is refused.
    running += 1
    const isTooMany = running > 3
    setTimeout(() => {
      running -= 1
      if (isTooMany || box.failing.has(name)) {
        callback({ status: 'failed', value: undefined as T })
        return
      }
      const value = act()
      callback({ status: 'succeeded', value })
      box.changed()
    }, box.delayMs)
  }

  const rest = <T>(args: readonly unknown[]): Callback<T> => args[args.length - 1] as Callback<T>
  const list = (name: 'to' | 'cc' | 'bcc'): unknown => ({
    getAsync: (callback: Callback<MailRecipient[]>) => answer(name, callback, () => [...box[name]]),
    setAsync: (people: MailRecipient[], callback: Callback<void>) =>
      answer(`${name}.set`, callback, () => void (box[name] = [...people])),
  })
  const item = {
    to: list('to'),
    cc: list('cc'),
    bcc: list('bcc'),
    from:
      box.mode === 'read'
        ? box.from
        : { ...box.from, getAsync: (callback: Callback<Mailbox['from']>) => answer('from', callback, () => ({ ...box.from })) },
    subject:
      box.mode === 'read'
        ? box.subject
        : { getAsync: (callback: Callback<string>) => answer('subject', callback, () => box.subject) },
    body: {
      getAsync: (...args: unknown[]) => answer<string>('body', rest(args), () => box.body),
      setAsync: (text: string, ...args: unknown[]) => answer<void>('body.set', rest(args), () => void (box.body = text)),
    },
    getAttachmentsAsync: (callback: Callback<MailAttachment[]>) =>
      answer('getAttachmentsAsync', callback, () => box.attachments.map((each) => ({ ...each }))),
    getAttachmentContentAsync: (id: string, callback: Callback<unknown>) =>
      answer('getAttachmentContentAsync', callback, () => {
        const found = box.attachments.find((each) => each.id === id)
        const format = { item: 'eml', cloud: 'url' }[found?.attachmentType ?? ''] ?? 'base64'
        return { format, content: found?.content ?? '' }
      }),
    removeAttachmentAsync: (id: string, callback: Callback<void>) =>
      answer('removeAttachmentAsync', callback, () => {
        box.attachments = box.attachments.filter((each) => each.id !== id)
      }),
    internetHeaders: {
      getAsync: (names: string[], callback: Callback<Record<string, string>>) =>
        answer('internetHeaders', callback, () =>
          Object.fromEntries(names.filter((name) => box.headers[name]).map((name) => [name, box.headers[name] ?? ''])),
        ),
      setAsync: (values: Record<string, string>, callback: Callback<void>) =>
        answer('internetHeaders', callback, () => void Object.assign(box.headers, values)),
    },
    notificationMessages: {
      replaceAsync: (key: string, message: { message: string }, callback: Callback<void>) =>
        answer('notice', callback, () => void (box.notices[key] = message.message)),
      removeAsync: (key: string, callback: Callback<void>) => answer('notice', callback, () => void delete box.notices[key]),
    },
    saveAsync: (callback: Callback<string>) => answer('saveAsync', callback, () => 'saved'),
    closeAsync: (_: unknown, callback: Callback<void>) => answer('closeAsync', callback, () => void (box.isClosed = true)),
    addHandlerAsync: subscribe,
  }
  /** Names of events are those of `EventType`; a client without one throws. */
  function subscribe(event: string, listener: (event: unknown) => void): void {
    if (!has(box.client, event)) throw new TypeError(`${event} is not supported`)
    ;(box.handlers[event] ??= []).push(listener)
  }
  const associated: Record<string, (event: unknown) => void> = {}
  return {
    onReady: () => Promise.resolve({ host: 'Outlook' }),
    AsyncResultStatus: { Succeeded: 'succeeded', Failed: 'failed' },
    CoercionType: { Text: 'text', Html: 'html' },
    EventType: {
      RecipientsChanged: 'RecipientsChanged',
      AttachmentsChanged: 'AttachmentsChanged',
      DragAndDropEvent: 'DragAndDropEvent',
      OfficeThemeChanged: 'OfficeThemeChanged',
      DialogMessageReceived: 'message',
      DialogEventReceived: 'event',
    },
    MailboxEnums: {
      RecipientType: { DistributionList: 'distributionList' },
      AttachmentType: { Cloud: 'cloud', File: 'file', Item: 'item' },
      AttachmentContentFormat: { Base64: 'base64', Eml: 'eml', ICalendar: 'iCalendar', Url: 'url' },
      ItemNotificationMessageType: { ProgressIndicator: 'progressIndicator' },
    },
    actions: {
      associate: (name: string, handler: (event: unknown) => void) => void (associated[name] = handler),
      associated,
    },
    context: {
      displayLanguage: box.language,
      platform: platformOf(box.client),
      get officeTheme() {
        return has(box.client, 'officeTheme') ? { bodyBackgroundColor: box.isDark ? '#292929' : '#FFFFFF' } : undefined
      },
      requirements: {
        isSetSupported: (name: string, version: string) =>
          name === 'NestedAppAuth' ? box.issuer !== undefined : name === 'Mailbox' && Number(version.split('.')[1]) <= setOf(box.client),
      },
      roamingSettings: {
        get: (name: string) => box.settings[name],
        set: (name: string, value: string) => void (box.settings[name] = value),
        saveAsync: (callback: Callback<void>) => answer('settings', callback, () => undefined),
      },
      mailbox: { item, addHandlerAsync: subscribe, diagnostics: { hostName: 'StandIn', hostVersion: '1.0.0' } },
      ui: {
        displayDialogAsync: (url: string, _: unknown, callback: Callback<unknown>) => dialog(frame, url, callback),
        openBrowserWindow: (url: string) => void frame.open(url, '_blank', 'noopener'),
        messageParent: (message: string) =>
          (frame.opener as Window | null)?.postMessage({ zegelpost: message }, frame.location.origin),
      },
    },
  }
}

function dialog(frame: Window, url: string, callback: Callback<unknown>): void {
  const opened = frame.open(url, 'zegelpost-dialog', 'width=480,height=640')
  const handlers: Record<string, (message: unknown) => void> = {}
  if (opened === null) {
    callback({ status: 'failed', value: undefined })
    return
  }
  const watch = setInterval(() => {
    if (!opened.closed) return
    stop()
    handlers.event?.({ error: 12006 })
  }, 300)
  const onMessage = (event: MessageEvent): void => {
    const data = event.data as { zegelpost?: string } | null
    if (event.origin !== frame.location.origin || typeof data?.zegelpost !== 'string') return
    stop()
    handlers.message?.({ message: data.zegelpost })
  }
  const stop = (): void => {
    clearInterval(watch)
    frame.removeEventListener('message', onMessage)
  }
  frame.addEventListener('message', onMessage)
  callback({
    status: 'succeeded',
    value: {
      addEventHandler: (name: string, handler: (message: unknown) => void) => void (handlers[name] = handler),
      close: () => opened.close(),
    },
  })
}
