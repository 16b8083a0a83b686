/** Passkeys: takes the server's question, has the browser make or use a passkey, and sends the answer with the form. */

interface Ceremony {
  parse: string
  ask: (options: never) => Promise<Credential | null>
}

// Browsers without these (Safari before 18.4, for instance) see the other ways only.
const CEREMONIES: Record<string, Ceremony> = {
  create: {
    parse: 'parseCreationOptionsFromJSON',
    ask: (publicKey: never) => navigator.credentials.create({ publicKey }),
  },
  get: {
    parse: 'parseRequestOptionsFromJSON',
    ask: (publicKey: never) => navigator.credentials.get({ publicKey }),
  },
}

async function answer(ceremony: Ceremony, form: HTMLFormElement): Promise<string> {
  const body = new URLSearchParams({ csrf: field(form, 'csrf').value })
  const question = await fetch(form.dataset.question ?? '', { method: 'POST', body })
  if (!question.ok) throw new Error(`the server answered ${question.status}`)
  const parse = parserOf(ceremony)
  const credential = await ceremony.ask(parse?.call(PublicKeyCredential, await question.json()) as never)
  if (!(credential instanceof PublicKeyCredential)) throw new Error('no passkey')
  return JSON.stringify(credential.toJSON())
}

function parserOf(ceremony: Ceremony): ((json: unknown) => unknown) | undefined {
  if (!window.PublicKeyCredential) return undefined
  return (PublicKeyCredential as unknown as Record<string, (json: unknown) => unknown>)[ceremony.parse]
}

function field(form: HTMLFormElement, name: string): HTMLInputElement {
  const found = form.elements.namedItem(name)
  if (!(found instanceof HTMLInputElement)) throw new Error(`the template lacks ${name}`)
  return found
}

for (const form of document.querySelectorAll<HTMLFormElement>('form[data-passkey]')) {
  const ceremony = CEREMONIES[form.dataset.passkey ?? '']
  if (!ceremony || !parserOf(ceremony)) continue
  form.hidden = false
  document.querySelector('[data-no-passkey]')?.remove()
  const failed = form.querySelector<HTMLElement>('[data-failed]')
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (failed) failed.hidden = true
    answer(ceremony, form).then(
      (text) => {
        field(form, 'answer').value = text
        form.submit()
      },
      // Also when the person pressed cancel: browsers do not tell these apart, so that sites cannot ask about devices.
      () => {
        if (failed) failed.hidden = false
      },
    )
  })
}
