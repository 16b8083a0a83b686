/** The pane beside a draft: shows what will happen to whom and what, and sends. */
import {
  type Client,
  type Contact,
  type Me,
  type Policy,
  Refused,
  type Template,
  type Transfer,
  Unreachable,
} from '../api/client'
import { button, element } from '../element'
import { filled, type Words } from '../i18n/words'
import { OfficeProblem } from '../office/calls'
import type { Attachment, Draft } from '../office/outlook'
import { browserSurroundings } from '../upload/surroundings'
import type { DocumentUpload } from '../upload/upload'
import { missingNumbers, peopleOf, type Person, recipientsOf } from './people'
import { NotEmptied, Sending, type Step, UploadFailed } from './sending'

const READ_AGAIN_MS = 400

export class ComposePane {
  private readonly typed = new Map<string, string>()
  private readonly kept = new Set<string>()
  private readonly files: File[] = []
  private people: readonly Person[] = []
  private attachments: readonly Attachment[] = []
  /** Whether this Outlook tells of attachments at all. */
  private isBlind = false
  private contacts: readonly Contact[] = []
  private subject = ''
  private sending: Sending | undefined
  private isBusy = false
  private timer: ReturnType<typeof setTimeout> | undefined

  private readonly list = element('div', { class: 'zp-list' })
  private readonly documents = element('div', { class: 'zp-list' })
  private readonly subjectLine = element('p', { class: 'zp-quiet' })
  private readonly status = element('p', { class: 'zp-status', role: 'status' })
  private readonly problem = element('p', { class: 'zp-problem', role: 'alert', hidden: true })
  private readonly progress = element('div', { class: 'zp-list' })
  private readonly submit: HTMLButtonElement
  private readonly reference: HTMLInputElement
  private readonly expiry: HTMLInputElement
  private readonly note: HTMLInputElement
  private readonly department: HTMLSelectElement
  private readonly template: HTMLSelectElement

  constructor(
    private readonly root: HTMLElement,
    private readonly draft: Draft,
    private readonly client: Client,
    private readonly words: Words,
    private readonly language: 'nl' | 'en',
    private readonly policy: Policy,
    me: Me,
    private readonly templates: readonly Template[],
  ) {
    this.submit = button(words.send, () => void this.send(), { class: 'zp-primary', id: 'send' })
    this.reference = element('input', { id: 'reference', maxlength: '100', autocomplete: 'off' })
    this.expiry = element('input', { id: 'expiry', inputmode: 'numeric', value: String(policy.default_expiry_days) })
    this.note = element('input', { id: 'note', type: 'checkbox', checked: true })
    this.department = element('select', { id: 'department' }, element('option', { value: '' }, words.myself))
    for (const each of me.departments) this.department.append(element('option', { value: each.id }, each.name))
    this.template = element('select', { id: 'template' }, element('option', { value: '' }, words.noTemplate))
    templates.forEach((each, number) => {
      const option = element('option', { value: String(number) }, each.name)
      option.selected = each.is_default
      this.template.append(option)
    })
    this.build(me.departments.length > 0)
    draft.onChange(() => this.readSoon())
  }

  async start(): Promise<void> {
    if (await this.draft.marked()) {
      this.root.replaceChildren(element('h1', {}, this.words.title), element('p', {}, this.words.already))
      return
    }
    await this.read()
  }

  private build(hasDepartments: boolean): void {
    const { words } = this
    const picker = element('input', { type: 'file', multiple: true, id: 'files', class: 'zp-file' })
    picker.addEventListener('change', () => {
      this.add([...(picker.files ?? [])])
      picker.value = ''
    })
    const drop = element(
      'div',
      { class: 'zp-drop' },
      element('label', { for: 'files', class: 'zp-secondary' }, words.addFiles),
      picker,
      element('p', { class: 'zp-quiet' }, words.dropHere),
    )
    drop.addEventListener('dragover', (event) => event.preventDefault())
    drop.addEventListener('drop', (event) => {
      event.preventDefault()
      this.add([...(event.dataTransfer?.files ?? [])])
    })
    const field = (label: string, control: HTMLElement): HTMLElement =>
      element('div', { class: 'zp-field' }, element('label', { for: control.id }, label), control)
    this.root.replaceChildren(
      element('h1', {}, words.title),
      this.problem,
      this.subjectLine,
      element('h2', {}, words.recipients),
      this.list,
      element('h2', {}, words.documents),
      this.documents,
      drop,
      element(
        'details',
        {},
        element('summary', {}, words.more),
        field(words.reference, this.reference),
        field(words.expiry, this.expiry),
        hasDepartments && field(words.from, this.department),
        this.templates.length > 0 && field(words.template, this.template),
        element('div', { class: 'zp-check' }, this.note, element('label', { for: 'note' }, words.note)),
      ),
      this.progress,
      this.status,
      this.submit,
    )
  }

  private readSoon(): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.read().catch((error: unknown) => this.explain(error)), READ_AGAIN_MS)
  }

  /** What is in the draft now, and who of it we know. */
  private async read(): Promise<void> {
    if (this.isBusy) return
    const addressed = await this.draft.recipients()
    this.subject = (await this.draft.subject()).trim()
    const attachments = await this.draft.attachments()
    this.isBlind = attachments === undefined
    this.attachments = attachments ?? []
    const addresses = addressed.map((each) => each.email.toLowerCase())
    const unknown = addresses.filter((each) => !this.contacts.some((contact) => contact.email.toLowerCase() === each))
    if (unknown.length > 0) this.contacts = [...this.contacts, ...(await this.client.lookUp(unknown))]
    this.people = peopleOf(addressed, this.policy, this.contacts, this.typed)
    this.show()
  }

  private show(): void {
    const { words } = this
    this.subjectLine.textContent = `${words.subject}: ${this.subject || '–'}`
    const focused = document.activeElement?.id
    this.list.replaceChildren(
      ...(this.people.length ? this.people.map((each, number) => this.person(each, number)) : [words.noRecipients]),
    )
    this.documents.replaceChildren(
      ...this.attachments.map((each) => this.attachment(each)),
      ...this.files.map((each) => this.file(each)),
      ...(this.isBlind ? [element('p', { class: 'zp-warning' }, words.blind)] : []),
      ...(this.attachments.length + this.files.length || this.isBlind ? [] : [words.noDocuments]),
    )
    if (focused) document.getElementById(focused)?.focus()
  }

  private person(person: Person, number: number): HTMLElement {
    const { words } = this
    const name = element('strong', {}, person.name)
    const row = element('div', { class: 'zp-row' }, name, person.name === person.email ? '' : ` ${person.email}`)
    if (person.isList || person.isColleague) {
      row.append(element('p', { class: person.isList ? 'zp-warning' : 'zp-quiet' }, person.isList ? words.list : words.colleague))
      return row
    }
    const id = `mobile-${number}`
    const input = element('input', { id, type: 'tel', value: person.mobile, autocomplete: 'off', 'aria-describedby': `${id}-hint` })
    const address = person.email.toLowerCase()
    input.addEventListener('input', () => {
      this.typed.set(address, input.value)
      this.people = this.people.map((each) => (each === person ? { ...each, mobile: input.value, source: 'typed' } : each))
      person = this.people[number] ?? person
    })
    const hint =
      person.source !== 'book'
        ? words.mobileWhy
        : person.workedAt
          ? filled(words.fromBookWorked, { day: this.day(person.workedAt) })
          : words.fromBook
    row.append(
      element('label', { for: id }, filled(words.mobileOf, { name: person.name })),
      input,
      element('p', { class: 'zp-quiet', id: `${id}-hint` }, hint),
      element('p', { class: 'zp-problem', id: `${id}-error`, hidden: true }),
    )
    if (person.source !== 'book') {
      const keep = element('input', { type: 'checkbox', id: `keep-${number}`, checked: this.kept.has(address) })
      keep.addEventListener('change', () => (keep.checked ? this.kept.add(address) : this.kept.delete(address)))
      row.append(element('div', { class: 'zp-check' }, keep, element('label', { for: keep.id }, words.keep)))
    }
    return row
  }

  private attachment(attachment: Attachment): HTMLElement {
    const fate = this.fate(attachment)
    return element(
      'div',
      { class: 'zp-row' },
      element('strong', {}, attachment.name),
      element('p', { class: fate === this.words.willGo ? 'zp-quiet' : 'zp-warning' }, fate),
    )
  }

  private fate(attachment: Attachment): string {
    if (attachment.kind === 'cloud') return this.words.cloud
    return this.refusalOf(attachment.kind === 'mail' ? `${attachment.name}.eml` : attachment.name, attachment.sizeBytes)
  }

  private refusalOf(name: string, sizeBytes: number): string {
    const extension = name.slice(name.lastIndexOf('.') + 1).toLowerCase()
    if (!this.policy.extensions.includes(extension)) return filled(this.words.notAllowed, { extension })
    if (sizeBytes > this.policy.limits.document_bytes) return this.words.tooLarge
    return this.words.willGo
  }

  private file(file: File): HTMLElement {
    const remove = button(this.words.remove, () => {
      this.files.splice(this.files.indexOf(file), 1)
      this.show()
    })
    remove.append(element('span', { class: 'zp-hidden' }, ` ${file.name}`))
    const fate = this.refusalOf(file.name, file.size)
    return element(
      'div',
      { class: 'zp-row' },
      element('strong', {}, file.name),
      element('p', { class: fate === this.words.willGo ? 'zp-quiet' : 'zp-warning' }, fate),
      remove,
    )
  }

  private add(files: readonly File[]): void {
    for (const file of files) {
      if (!this.files.some((each) => each.name === file.name && each.size === file.size)) this.files.push(file)
    }
    this.show()
  }

  /** Check what can be checked here, then send; whatever happens, people read what it means for their draft. */
  private async send(): Promise<void> {
    if (this.isBusy) return
    this.say('')
    try {
      await this.read()
      if (!this.isComplete()) return
      this.busy(true)
      await this.draft.notify(this.words.notice).catch(() => undefined)
      const transfer = await this.sendNow()
      await this.keepContacts()
      this.finish(transfer)
    } catch (error) {
      this.explain(error)
    } finally {
      this.busy(false)
      await this.draft.clearNotice().catch(() => undefined)
    }
  }

  private isComplete(): boolean {
    const { words } = this
    const refused = [...this.attachments.map((each) => this.fate(each)), ...this.files.map((each) => this.refusalOf(each.name, each.size))]
    const wrong = refused.find((fate) => fate !== words.willGo)
    const missing = missingNumbers(this.people)
    this.people.forEach((each, number) => {
      const error = document.getElementById(`mobile-${number}-error`)
      if (error) {
        error.hidden = !missing.includes(each.email)
        error.textContent = words.mobileMissing
      }
    })
    const problem =
      (this.people.length === 0 && words.noRecipients) ||
      (this.subject === '' && words.subjectMissing) ||
      (this.people.some((each) => each.isList) && words.list) ||
      (missing.length > 0 && words.mobileMissing) ||
      wrong ||
      ''
    this.say(problem)
    if (missing.length > 0) {
      document.getElementById(`mobile-${this.people.findIndex((each) => each.email === missing[0])}`)?.focus()
    }
    return problem === ''
  }

  private async sendNow(): Promise<Transfer> {
    const { client, draft, policy } = this
    this.sending ??= new Sending(
      client,
      draft,
      { maxBytes: policy.limits.document_bytes, extensions: policy.extensions },
      browserSurroundings(),
      { step: (step) => this.showStep(step), uploads: (uploads) => this.showUploads(uploads) },
    )
    const days = Number(this.expiry.value)
    return this.sending.run(
      {
        transfer: {
          subject: this.subject,
          reference: this.reference.value.trim(),
          note: await this.noteOf(),
          recipients: recipientsOf(this.people),
          expires_in_days: Number.isInteger(days) ? days : policy.default_expiry_days,
          language: this.language,
          ...(this.department.value && { department_id: this.department.value }),
        },
        attachments: this.attachments,
        files: [...this.files],
      },
      (transfer) =>
        filled(this.words.statement, { day: this.day(new Date().toISOString()), number: numberOf(transfer) }),
    )
  }

  /** The draft's own text, unless that is left out, and after it the standard text that was chosen. */
  private async noteOf(): Promise<string> {
    const own = this.note.checked ? (await this.draft.text()).trim() : ''
    const chosen = this.template.value === '' ? '' : (this.templates[Number(this.template.value)]?.text ?? '').trim()
    return [own, chosen].filter((text) => text !== '').join('\n\n')
  }

  private async keepContacts(): Promise<void> {
    for (const person of this.people) {
      if (!this.kept.has(person.email.toLowerCase())) continue
      await this.client.keep({ name: person.name, email: person.email, mobile: person.mobile }).catch(() => undefined)
    }
  }

  private showStep(step: Step): void {
    this.status.textContent = step === 'uploading' ? '' : this.words[step]
  }

  private showUploads(uploads: readonly DocumentUpload[]): void {
    const percent = new Intl.NumberFormat(this.language, { style: 'percent' })
    this.progress.replaceChildren(
      ...uploads.map(({ file, state }) => {
        const sent = state.kind === 'done' ? 1 : 'sentBytes' in state ? state.sentBytes / Math.max(file.size, 1) : 0
        const isStalled = state.kind === 'offline' || (state.kind === 'uploading' && state.isStalled)
        const text =
          state.kind === 'paused' ? this.words.paused : isStalled ? this.words.stalled : this.words.uploading
        const bar = element('progress', { max: '1', value: String(sent), 'aria-label': file.name })
        const act =
          state.kind === 'paused'
            ? button(this.words.resume, () => this.sending?.resume())
            : state.kind === 'uploading' && button(this.words.pause, () => this.sending?.pause())
        return element(
          'div',
          { class: 'zp-row' },
          filled(text, { name: file.name, percent: percent.format(Math.floor(sent * 100) / 100) }),
          bar,
          act,
        )
      }),
    )
  }

  private finish(transfer: Transfer): void {
    this.root.replaceChildren(
      element('h1', { tabindex: '-1', id: 'done' }, this.words.done),
      element('p', {}, this.words.doneWhy),
      element('p', {}, filled(this.words.doneNumber, { number: numberOf(transfer) })),
    )
    document.getElementById('done')?.focus()
  }

  private explain(error: unknown): void {
    const { words } = this
    this.status.textContent = ''
    if (error instanceof NotEmptied) {
      this.root.replaceChildren(element('h1', {}, words.done), element('p', { class: 'zp-problem', role: 'alert' }, words.notEmptied))
    } else if (error instanceof Refused) {
      const fields = Object.values(error.problem.fields ?? {}).map((field) => field.detail)
      this.say([error.problem.code === 'sign_in_required' ? words.signInAgain : (fields[0] ?? error.problem.detail) || words.failed].join(' '))
    } else if (error instanceof UploadFailed) {
      const { state, file } = error.upload
      const reason = state.kind === 'failed' ? state.reason : undefined
      if (reason?.kind === 'signedOut') this.client.forget()
      this.say(
        reason?.kind === 'problem'
          ? `${file.name}: ${reason.problem.detail}`
          : reason?.kind === 'damaged'
            ? filled(words.damaged, { name: file.name })
            : reason?.kind === 'signedOut'
              ? words.signInAgain
              : words.unreachable,
      )
    } else if (error instanceof Unreachable) {
      this.say(words.unreachable)
    } else {
      this.say(error instanceof OfficeProblem ? (error.call === 'attachment' ? words.unreadable : words.outlookFailed) : words.failed)
    }
  }

  private say(problem: string): void {
    this.problem.textContent = problem
    this.problem.hidden = problem === ''
    if (problem !== '') this.problem.scrollIntoView({ block: 'nearest' })
  }

  private busy(isBusy: boolean): void {
    this.isBusy = isBusy
    this.submit.disabled = isBusy
  }

  private day(moment: string): string {
    return new Intl.DateTimeFormat(this.language === 'nl' ? 'nl-NL' : 'en-GB', { dateStyle: 'long' }).format(new Date(moment))
  }
}

/** What people call a transfer: the first eight characters of its identifier, as the portal shows it. */
export function numberOf(transfer: Pick<Transfer, 'id'>): string {
  return `${transfer.id.slice(0, 4)}-${transfer.id.slice(4, 8)}`.toUpperCase()
}
