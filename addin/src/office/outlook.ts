/** Outlook, as the rest of the add-in sees it. This folder is the only place that says `Office`. */
import { attempt, Calls, listen, OfficeProblem } from './calls'
import { type Draft, draftOf } from './draft'

export interface ReceivedMail {
  readonly senderName: string
  readonly senderEmail: string
  readonly subject: string
  text(): Promise<string>
}

export interface Outlook {
  readonly language: string
  readonly draft: Draft | undefined
  readonly mail: ReceivedMail | undefined
  /** Whether Outlook itself can give a token (NestedAppAuth 1.1). It may say so and not do it, like everything here. */
  readonly hasNestedSignIn: boolean
  /** One line for whoever helps: client, platform, version. */
  readonly diagnosis: string
  /** Whether a window may open that nobody clicked for. On the web it may not: browsers stop those, and Outlook asks first. */
  readonly mayOpenUnasked: boolean
  openDialog(url: string): Promise<string>
  openWindow(url: string): void
  /** Files that people drag here from Outlook itself, where it hands those over (web and new Outlook). */
  onDrop(listener: (files: readonly File[]) => void): void
  /** Whether Outlook itself looks dark, as far as it says. `listener` is called at once, and when it changes. */
  onTheme(listener: (isDark: boolean) => void): void
  /** What people chose before, kept in their mailbox. Nothing secret. */
  readonly choices: KeptChoices
}

export interface KeptChoices {
  get(name: string): string
  keep(name: string, value: string): Promise<void>
}

// Names of platforms that are no browser. New Outlook is one, and says so (`OfficeOnline`).
const DESKTOPS = ['PC', 'Mac']

/** Wait until Outlook is there. */
export async function connect(): Promise<Outlook> {
  await Office.onReady()
  const calls = new Calls(Office.AsyncResultStatus.Succeeded)
  const { mailbox } = Office.context
  const item = mailbox.item as unknown as Office.MessageCompose & Office.MessageRead
  const isCompose = typeof (item as { subject?: unknown }).subject !== 'string'
  return {
    language: Office.context.displayLanguage,
    draft: isCompose ? draftOf(item, calls) : undefined,
    mail: isCompose ? undefined : mailOf(item, calls),
    hasNestedSignIn: isSupported('NestedAppAuth', '1.1'),
    diagnosis: [mailbox.diagnostics.hostName, Office.context.platform, mailbox.diagnostics.hostVersion].join(' '),
    mayOpenUnasked: DESKTOPS.includes(String(Office.context.platform)),
    openDialog,
    openWindow,
    onDrop: (listener) =>
      listen(mailbox, Office.EventType.DragAndDropEvent, (event: Office.DragAndDropEventArgs) => {
        const { dragAndDropEventData: data } = event
        if ('dataTransfer' in data) listener(data.dataTransfer.files.map((each) => new File([each.fileContent], each.name, { type: each.type })))
      }),
    onTheme(listener) {
      const tell = (): void => {
        const isDark = isDarkColour(Office.context.officeTheme?.bodyBackgroundColor)
        if (isDark !== undefined) listener(isDark)
      }
      tell()
      listen(mailbox, Office.EventType.OfficeThemeChanged, tell)
    },
    choices: {
      get: (name) => String(attempt(() => Office.context.roamingSettings.get(name)) ?? ''),
      keep(name, value) {
        const { roamingSettings } = Office.context
        return calls.run('settings', (done) => {
          roamingSettings.set(name, value)
          roamingSettings.saveAsync(done)
        })
      },
    },
  }
}

/** Also says no in clients from before the question. */
function isSupported(name: string, version: string): boolean {
  return attempt(() => Office.context.requirements.isSetSupported(name, version)) ?? false
}

/** `openBrowserWindow` came with a set of its own; a window of the page does where it is missing. */
function openWindow(url: string): void {
  if (attempt(() => (Office.context.ui.openBrowserWindow(url), true)) === undefined) window.open(url, '_blank', 'noopener')
}

/** From six hexadecimal digits. Outlook has no answer to the plain question (`isDarkTheme`). */
function isDarkColour(colour: string | undefined): boolean | undefined {
  const digits = /^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour ?? '')
  if (digits === null) return undefined
  const [red = 0, green = 0, blue = 0] = digits.slice(1).map((each) => parseInt(each, 16))
  return red * 0.299 + green * 0.587 + blue * 0.114 < 128
}

function mailOf(item: Office.MessageRead, calls: Calls): ReceivedMail {
  return {
    senderName: item.from.displayName,
    senderEmail: item.from.emailAddress,
    subject: item.subject,
    text: () => calls.run('text', (done) => item.body.getAsync(Office.CoercionType.Text, done)),
  }
}

/** A window of ours; resolves with what its page hands over, rejects when people close it. */
function openDialog(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    Office.context.ui.displayDialogAsync(url, { height: 70, width: 40 }, (opened) => {
      if (opened.status !== Office.AsyncResultStatus.Succeeded) {
        reject(new OfficeProblem('dialog', 'failed'))
        return
      }
      const dialog = opened.value
      dialog.addEventHandler(Office.EventType.DialogMessageReceived, (message) => {
        dialog.close()
        if ('message' in message) resolve(message.message)
        else reject(new OfficeProblem('dialog', 'failed'))
      })
      dialog.addEventHandler(Office.EventType.DialogEventReceived, () => reject(new OfficeProblem('dialog', 'failed')))
    })
  })
}

/** For the dialog's own page: hand something to the pane that opened it. */
export async function handOver(message: string): Promise<void> {
  await Office.onReady()
  Office.context.ui.messageParent(message)
}
