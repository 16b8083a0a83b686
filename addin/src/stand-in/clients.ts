/** What each kind of Outlook can, by the requirement set of its mailbox (Microsoft's tables of requirement sets). */

/** `classic` as of version 2304, before closing and themes came; `onprem` is Outlook on the web of Exchange on-premises. */
const SETS: Readonly<Record<string, number>> = { web: 16, new: 16, mac: 14, classic: 13, onprem: 6 }

/** Since which set something is there: 1.3 is 3. What is not here has always been there. */
const SINCE: Readonly<Record<string, number>> = {
  from: 7,
  RecipientsChanged: 7,
  AttachmentsChanged: 8,
  getAttachmentsAsync: 8,
  getAttachmentContentAsync: 8,
  internetHeaders: 8,
  OnMessageSend: 12,
  closeAsync: 14,
  officeTheme: 14,
  OfficeThemeChanged: 14,
}

/** Outside the sets: only these hand over what people drag from Outlook to the pane. */
const DRAGGING = ['web', 'new']
/** In the set, and not there all the same. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = { mac: ['officeTheme', 'OfficeThemeChanged'] }

export function setOf(client: string): number {
  return SETS[client] ?? 16
}

export function has(client: string, name: string): boolean {
  if (name === 'DragAndDropEvent') return DRAGGING.includes(client)
  return setOf(client) >= (SINCE[name] ?? 1) && !EXCEPTIONS[client]?.includes(name)
}

/** As `Office.context.platform` says; new Outlook counts as the web. */
export function platformOf(client: string): string {
  return { classic: 'PC', mac: 'Mac' }[client] ?? 'OfficeOnline'
}
