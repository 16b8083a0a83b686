/** The elements that the server's templates promise; a missing one is a mistake in a template, so it is said loudly. */
export function part<E extends HTMLElement>(root: ParentNode, selector: string, kind: new () => E): E {
  const found = root.querySelector(selector)
  if (!(found instanceof kind)) throw new Error(`the template lacks ${selector}`)
  return found
}

/** A copy of the single element in a `<template>`. */
export function copy(template: HTMLTemplateElement): HTMLElement {
  const element = template.content.firstElementChild?.cloneNode(true)
  if (!(element instanceof HTMLElement)) throw new Error('the template is empty')
  return element
}
