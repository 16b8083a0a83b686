/** Brings the interactive parts of a page to life. Every page works without them. */
import { documents } from './islands/documents'
import { recipients } from './islands/recipients'
import { template } from './islands/template'
import { prefill } from './prefill'
import { staying } from './staying'

const islands: Record<string, (element: HTMLElement) => void> = { documents, recipients, template }

for (const element of document.querySelectorAll<HTMLElement>('[data-island]')) {
  islands[element.dataset.island ?? '']?.(element)
}

prefill()
staying()

// After a refused form the summary of what is wrong comes first, also for who can't see it.
document.querySelector<HTMLElement>('[data-focus]')?.focus()
