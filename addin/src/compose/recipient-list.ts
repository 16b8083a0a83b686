/** The people of a draft in the pane, with what was typed about them: numbers, whom to keep, and who waits for a number. */
import type { Client, Contact, Policy, Recipient } from '../api/client'
import { element } from '../element'
import type { Words } from '../i18n/words'
import type { Addressed } from '../office/draft'
import { isOutside, missingNumbers, peopleOf, type Person, recipientsOf } from './people'
import { colleaguesRow, listRow, outsiderRow } from './rows'

export class RecipientList {
  readonly part = element('div', { class: 'zp-list' })
  /** By address in lower case, as are the others. */
  private readonly typed = { numbers: new Map<string, string>(), parked: new Set<string>(), called: new Set<string>() }
  private readonly kept = new Set<string>()
  private problems: ReadonlyMap<string, string> = new Map()
  private contacts: readonly Contact[] = []
  private people: readonly Person[] = []

  /** `mended` is called when nothing is wrong with anybody any more, as far as is known. */
  constructor(
    private readonly client: Pick<Client, 'lookUp' | 'keep' | 'renumber'>,
    private readonly policy: Pick<Policy, 'staff_domains' | 'has_sender_copy' | 'methods'>,
    private readonly words: Words,
    private readonly day: (moment: string) => string,
    private readonly mended: () => void,
  ) {
    this.show()
  }

  get isEmpty(): boolean {
    return this.people.length === 0
  }

  get hasList(): boolean {
    return this.people.some((each) => each.isList)
  }

  get recipients(): readonly Recipient[] {
    return recipientsOf(this.people)
  }

  /** Who the draft is addressed to now; asks the address book about whoever is new. */
  async take(addressed: readonly Addressed[]): Promise<void> {
    const known = new Set(this.contacts.map((each) => each.email.toLowerCase()))
    const unknown = addressed.map((each) => each.email.toLowerCase()).filter((each) => !known.has(each))
    if (unknown.length > 0) this.contacts = [...this.contacts, ...(await this.client.lookUp(unknown))]
    this.people = peopleOf(addressed, this.policy, this.contacts, this.typed)
    this.show()
  }

  /** Say at each recipient without a number that it is missing; returns whether all have one, or wait for it. */
  complete(): boolean {
    const missing = missingNumbers(this.people)
    this.mark(new Map(missing.map((email) => [email.toLowerCase(), this.words.mobileMissing])))
    return missing.length === 0
  }

  /** Say at each recipient what the server said of their number; `fields` as in its refusal (`recipients.0.mobile`). */
  refuse(fields: Readonly<Record<string, { readonly detail: string }>>): void {
    const found = Object.entries(fields).flatMap(([name, { detail }]) => {
      const person = this.people[Number(/^recipients\.(\d+)\.mobile$/.exec(name)?.[1] ?? -1)]
      return person ? [[person.email.toLowerCase(), detail] as const] : []
    })
    if (found.length > 0) this.mark(new Map(found))
  }

  /** Save whom people asked to keep. What that comes to is not what they came for: it stops nothing. */
  async keep(): Promise<void> {
    for (const person of this.people) {
      const address = person.email.toLowerCase()
      if (!this.kept.has(address) || person.mobile.trim() === '') continue
      const contact = this.contacts.find((each) => each.email.toLowerCase() === address)
      await this.keepOne(person, contact).catch(() => undefined)
    }
  }

  /** A number that is called may be no mobile, and address books hold mobiles. */
  private async keepOne({ name, email, mobile, isCalled }: Person, contact: Contact | undefined): Promise<void> {
    if (!contact) await this.client.keep({ name, email, ...(!isCalled && { mobile }) })
    else if (!isCalled) await this.client.renumber(contact.id, mobile)
  }

  private mark(problems: ReadonlyMap<string, string>): void {
    this.problems = problems
    this.show()
    const first = this.people.findIndex((each) => problems.has(each.email.toLowerCase()))
    document.getElementById(`mobile-${first}`)?.focus()
  }

  private show(): void {
    const { words } = this
    const focused = document.activeElement?.id
    const colleagues = this.people.filter((each) => each.isColleague)
    this.part.replaceChildren(
      ...this.people.flatMap((each, number) => (isOutside(each) ? [this.outsider(each, number)] : [])),
      ...this.people.filter((each) => each.isList).map((each) => listRow(each, words)),
      ...(colleagues.length > 0 ? [colleaguesRow(colleagues, words)] : []),
      ...(this.isEmpty ? [words.noRecipients] : []),
    )
    if (focused) document.getElementById(focused)?.focus()
  }

  private outsider(person: Person, position: number): HTMLElement {
    const address = person.email.toLowerCase()
    const state = {
      isKept: this.kept.has(address),
      problem: person.isParked ? '' : (this.problems.get(address) ?? ''),
      mayPark: this.policy.has_sender_copy,
      mayCall: this.policy.methods.includes('spoken'),
    }
    return outsiderRow(person, position, state, this.words, this.day, {
      typed: (mobile) => {
        this.typed.numbers.set(address, mobile)
        this.change(person, { mobile, known: undefined })
      },
      park: (isParked) => {
        toggle(this.typed.parked, address, isParked)
        this.change(person, { isParked })
        this.show()
        if (this.people.every((each) => each.isParked || !this.problems.has(each.email.toLowerCase()))) this.mended()
      },
      // Whether the number does for that is seen when it is sent.
      call: (isCalled) => {
        toggle(this.typed.called, address, isCalled)
        this.change(person, { isCalled })
      },
      keep: (isKept) => (isKept ? this.kept.add(address) : this.kept.delete(address)),
    })
  }

  private change({ email }: Person, changes: Partial<Person>): void {
    this.people = this.people.map((each) => (each.email === email ? { ...each, ...changes } : each))
  }
}

function toggle(set: Set<string>, entry: string, isIn: boolean): void {
  if (isIn) set.add(entry)
  else set.delete(entry)
}
