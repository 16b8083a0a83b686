// Builds what browsers load into backend/zegelpost/web/static/dist: hashed files, the icons, the licences of what is
// inside, and manifest.json, which maps a source name (`app.css`) to its hashed file. `rendering.py` reads the result.
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import * as esbuild from 'esbuild'
import { pruneTheme } from './theme.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const repository = path.resolve(here, '../..')
const dist = path.join(repository, 'backend/zegelpost/web/static/dist')
// Renamed to the result when complete: a build that fails leaves the old one standing.
const staging = path.join(here, 'node_modules/.zegelpost-build')
const productIcons = path.join(repository, 'manifest/icons')

const shared = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  charset: 'utf8',
  legalComments: 'linked',
  metafile: true,
  outdir: staging,
  entryNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  // addin/src/upload lies outside this package and has no node_modules of its own above it.
  nodePaths: [path.join(here, 'node_modules')],
  logLevel: 'warning',
}

/** Stands in for `css/theme-tokens.css`: its content follows from the other stylesheets. */
const themeTokens = (contents) => ({
  name: 'theme-tokens',
  setup(build) {
    build.onResolve({ filter: /theme-tokens\.css$/ }, () => ({ path: 'theme-tokens.css', namespace: 'theme' }))
    build.onLoad({ filter: /.*/, namespace: 'theme' }, () => ({ contents, loader: 'css' }))
  },
})

function styles(tokens, options = {}) {
  return esbuild.build({
    ...shared,
    entryPoints: { app: 'css/app.css' },
    target: ['safari14', 'chrome87', 'firefox78'],
    loader: { '.woff2': 'file' },
    plugins: [themeTokens(tokens)],
    ...options,
  })
}

function script(name, target) {
  return esbuild.build({ ...shared, entryPoints: { [name]: `src/${name}.ts` }, target, format: 'iife' })
}

/** The add-in's own: current browsers and the web views of Outlook. */
function addin(name) {
  return esbuild.build({ ...shared, entryPoints: { [name]: path.join(repository, `addin/src/${name}.ts`) }, target: 'es2020', format: 'iife' })
}

function sheet(name, file) {
  return esbuild.build({ ...shared, entryPoints: { [name]: file }, target: ['safari14', 'chrome87', 'firefox78'] })
}

function outputs(result) {
  return Object.entries(result.metafile.outputs)
    .filter(([, output]) => output.entryPoint)
    .map(([file]) => {
      const name = path.basename(file)
      return [name.replace(/-[A-Z0-9]{8}(?=\.)/, ''), name]
    })
}

async function copyHashed(source, name) {
  const content = await readFile(source)
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8).toUpperCase()
  const hashed = name.replace(/(\.\w+)$/, `-${hash}$1`)
  await writeFile(path.join(staging, hashed), content)
  return [name, hashed]
}

async function copyIcons() {
  const names = JSON.parse(await readFile(path.join(here, 'icons.json'), 'utf8'))
  await mkdir(path.join(staging, 'icons'))
  for (const name of names) {
    await copyFile(
      path.join(here, 'node_modules/@tabler/icons/icons/outline', `${name}.svg`),
      path.join(staging, 'icons', `${name}.svg`),
    )
  }
}

/** Fonts, icons and the upload library carry their notice in a file, not in a comment that a bundler can link. */
async function copyLicences() {
  await mkdir(path.join(staging, 'licences'))
  for (const [name, file] of [
    ['source-sans-3', '@fontsource-variable/source-sans-3/LICENSE'],
    ['tabler-icons', '@tabler/icons/LICENSE'],
    ['tus-js-client', 'tus-js-client/LICENSE'],
    ['msal-browser', '@azure/msal-browser/LICENSE'],
    ['altcha-lib', 'altcha-lib/LICENSE.txt'],
    ['nl-design-system', '@nl-design-system-unstable/voorbeeld-design-tokens/LICENSE.md'],
  ]) {
    await copyFile(path.join(here, 'node_modules', file), path.join(staging, 'licences', `${name}.txt`))
  }
}

const draft = await styles('', { write: false, minify: false, metafile: false })
const used = draft.outputFiles.find((file) => file.path.endsWith('.css')).text

await rm(staging, { recursive: true, force: true })
await mkdir(staging, { recursive: true })
const results = await Promise.all([
  styles(await pruneTheme(used)),
  script('portal', 'es2020'),
  script('passkey', 'es2020'),
  // Recipients come with whatever phone they have: nothing newer than ES2017 here.
  script('open', 'es2017'),
  script('intake', 'es2017'),
  addin('pane'),
  addin('dialog'),
  // By itself, for `import()`: the pane fetches it where Outlook can sign in, and nowhere else.
  esbuild.build({ ...shared, entryPoints: { nested: path.join(repository, 'addin/src/nested.ts') }, target: 'es2020', format: 'esm' }),
  addin('outlook'),
  sheet('pane', path.join(repository, 'addin/src/pane.css')),
  sheet('outlook', 'css/outlook.css'),
])
await copyIcons()
// As it was written: classic Outlook's runtime is no browser, and Outlook knows it by one address.
await copyFile(path.join(repository, 'addin/src/launchevent/launchevent.js'), path.join(staging, 'launchevent.js'))
await copyLicences()
const manifest = Object.fromEntries([
  ...results.flatMap(outputs),
  await copyHashed(path.join(productIcons, 'icon.svg'), 'icon.svg'),
  await copyHashed(path.join(productIcons, 'icon-32.png'), 'icon-32.png'),
])
await writeFile(path.join(staging, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
await rm(dist, { recursive: true, force: true })
// A fresh clone has nothing there yet: what is built is not in the repository.
await mkdir(path.dirname(dist), { recursive: true })
await rename(staging, dist)
