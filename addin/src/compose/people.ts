/** Who a draft goes to: colleagues, who sign in, and people outside, who need a number. Nothing of Outlook in here. */
import type { Contact, Policy, Recipient } from '../api/client'
import type { Addressed } from '../office/draft'

/** What an address book knows of a number: a code reached it, a list of others had it, or people saved it; and when. */
export interface Knowledge {
  readonly how: 'worked' | 'listed' | 'saved'
  readonly at: string
}

export interface Person {
  readonly name: string
  readonly email: string
  readonly isColleague: boolean
  /** A list can hide anyone: it can't be sent to, and has to be taken apart first. */
  readonly isList: boolean
  readonly mobile: string
  /** Of a number from the address book; nothing of one that was typed here, or of none. */
  readonly known: Knowledge | undefined
  /** People said that they have no usable number yet: the others get it now. */
  readonly isParked: boolean
  /** The code is read out on the telephone, which needs no mobile. */
  readonly isCalled: boolean
}

/** What people did in the pane, by address in lower case. */
export interface Typed {
  readonly numbers: ReadonlyMap<string, string>
  readonly parked: ReadonlySet<string>
  readonly called: ReadonlySet<string>
}

const LISTED = ['exchange', 'directory']

/** Everyone once, by address. What was typed in the pane stays; the address book fills in the rest. */
export function peopleOf(
  addressed: readonly Addressed[],
  policy: Pick<Policy, 'staff_domains'>,
  contacts: readonly Contact[],
  typed: Typed,
): readonly Person[] {
  const known = new Map(contacts.map((contact) => [contact.email.toLowerCase(), contact]))
  const people = new Map<string, Person>()
  for (const each of addressed) {
    const email = each.email.trim()
    const address = email.toLowerCase()
    if (people.has(address)) continue
    const contact = known.get(address)
    const own = typed.numbers.get(address)
    people.set(address, {
      name: contact?.name || each.name || email,
      email,
      isColleague: !each.isList && policy.staff_domains.includes(address.slice(address.lastIndexOf('@') + 1)),
      isList: each.isList,
      mobile: own ?? contact?.mobile ?? '',
      known: own === undefined ? knowledgeOf(contact) : undefined,
      isParked: typed.parked.has(address),
      isCalled: typed.called.has(address),
    })
  }
  return [...people.values()]
}

function knowledgeOf(contact: Contact | undefined): Knowledge | undefined {
  if (!contact?.mobile) return undefined
  if (contact.number_worked_at) return { how: 'worked', at: contact.number_worked_at }
  return { how: LISTED.includes(contact.source) ? 'listed' : 'saved', at: contact.changed_at }
}

/** Whether a code has to reach them. */
export function isOutside(person: Person): boolean {
  return !person.isColleague && !person.isList
}

/** What has to be filled in before it can be sent, by address. */
export function missingNumbers(people: readonly Person[]): readonly string[] {
  return people.filter((each) => isOutside(each) && !each.isParked && each.mobile.trim() === '').map((each) => each.email)
}

export function recipientsOf(people: readonly Person[]): readonly Recipient[] {
  return people.map((each) => ({
    name: each.name,
    email: each.email,
    ...(!each.isColleague && { mobile: each.mobile }),
    ...(isOutside(each) && each.isCalled && { method: 'spoken' as const }),
    ...(isOutside(each) && each.isParked && { is_parked: true }),
  }))
}
