// Prunes the community's example theme to the design tokens that our stylesheet reaches.
//
// The full theme holds some 2,800 custom properties for every component of every supplier; about a quarter is used here.
// Licence of the tokens: EUPL-1.2, the same as Zegelpost's.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

const THEME = '@nl-design-system-unstable/voorbeeld-design-tokens/dist/theme.css'
const DECLARATION = /^\s*(--[\w-]+):\s*(.+?);(?:\s*\/\*.*\*\/)?\s*$/gm
const REFERENCE = /var\(\s*(--[\w-]+)/g

const references = (text) => Array.from(text.matchAll(REFERENCE), (match) => match[1])

/** The theme as a `:root` rule with only the tokens that `css` reaches, directly or through other tokens. */
export async function pruneTheme(css) {
  const source = await readFile(createRequire(import.meta.url).resolve(THEME), 'utf8')
  const declared = new Map(Array.from(source.matchAll(DECLARATION), ([, name, value]) => [name, value]))
  if (declared.size < 1000) throw new Error(`${THEME} no longer looks as expected: only ${declared.size} tokens found`)
  const reached = new Set()
  const pending = references(css)
  while (pending.length > 0) {
    const name = pending.pop()
    const value = declared.get(name)
    if (value === undefined || reached.has(name)) continue
    reached.add(name)
    pending.push(...references(value))
  }
  const lines = [...reached].sort().map((name) => `  ${name}: ${declared.get(name)};`)
  return `/*! Design tokens: NL Design System community, EUPL-1.2 */\n:root {\n${lines.join('\n')}\n}\n`
}
