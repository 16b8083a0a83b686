// Bundles test/*.test.ts for node and runs them with node's own test runner.
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import * as esbuild from 'esbuild'

const here = path.dirname(fileURLToPath(import.meta.url))
const names = (await readdir(path.join(here, 'test'))).filter((name) => name.endsWith('.test.ts'))
const work = await mkdtemp(path.join(tmpdir(), 'zegelpost-frontend-'))
try {
  await esbuild.build({
    absWorkingDir: here,
    entryPoints: names.map((name) => `test/${name}`),
    outdir: work,
    bundle: true,
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    // The half of the library that browsers get: it reads files as browsers do.
    alias: { 'tus-js-client': path.join(here, 'node_modules/tus-js-client/lib.esm/browser/index.js') },
    nodePaths: [path.join(here, 'node_modules')],
    // The library asks once, on loading, whether there is storage.
    banner: { js: 'globalThis.window ??= {};' },
    logLevel: 'warning',
  })
  const files = names.map((name) => path.join(work, name.replace(/\.ts$/, '.mjs')))
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...files], { stdio: 'inherit' })
  process.exitCode = status ?? 1
} finally {
  await rm(work, { recursive: true, force: true })
}
