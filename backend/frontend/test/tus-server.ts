/** A tus 1.0 server on loopback that keeps uploads in memory and misbehaves on request, and the way to reach it from node. */
import { createHash } from 'node:crypto'
import { createServer, request as httpRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { HttpRequest, HttpResponse, HttpStack } from 'tus-js-client'

export interface Stored {
  readonly id: string
  readonly metadata: Record<string, string>
  readonly length: number
  bytes: Buffer
}

export interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
}

type Behaviour = (asked: Asked, response: ServerResponse) => boolean | Promise<boolean>

export class TusServer {
  readonly uploads = new Map<string, Stored>()
  readonly asked: Asked[] = []
  /** Looks at a request before the server does; true when it has answered or hung up itself. */
  intercept: Behaviour = () => false
  /** What the server says that it stored; by default the truth. */
  hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
  private readonly server = createServer((request, response) => void this.answer(request, response))
  private count = 0

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/uploads`
  }

  open(): Promise<void> {
    return new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve))
  }

  close(): Promise<void> {
    this.server.closeAllConnections()
    return new Promise((resolve) => this.server.close(() => resolve()))
  }

  methods(): string[] {
    return this.asked.map(({ method }) => method)
  }

  single(): Stored {
    const [stored, ...others] = this.uploads.values()
    if (!stored || others.length > 0) throw new Error(`expected one upload, there are ${this.uploads.size}`)
    return stored
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = { method: request.method ?? '', path: request.url ?? '', headers: request.headers }
    this.asked.push(asked)
    response.setHeader('Tus-Resumable', '1.0.0')
    if (await this.intercept(asked, response)) return
    const stored = this.uploads.get(asked.path.split('/').pop() ?? '')
    if (asked.method === 'POST') this.create(asked, response)
    else if (!stored) response.writeHead(404).end()
    else if (asked.method === 'HEAD') this.tell(stored, response, 200)
    else if (asked.method === 'DELETE') {
      this.uploads.delete(stored.id)
      response.writeHead(204).end()
    } else await this.append(stored, request, response)
  }

  private create(asked: Asked, response: ServerResponse): void {
    const pairs = String(asked.headers['upload-metadata']).split(',')
    const metadata = Object.fromEntries(
      pairs.map((pair) => {
        const [key = '', value = ''] = pair.split(' ')
        return [key, Buffer.from(value, 'base64').toString()]
      }),
    )
    const id = `u${(this.count += 1)}`
    this.uploads.set(id, { id, metadata, length: Number(asked.headers['upload-length']), bytes: Buffer.alloc(0) })
    response.writeHead(201, { Location: `/uploads/${id}` }).end()
  }

  private async append(stored: Stored, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (Number(request.headers['upload-offset']) !== stored.bytes.length) {
      response.writeHead(409).end()
      return
    }
    try {
      for await (const chunk of request) stored.bytes = Buffer.concat([stored.bytes, chunk as Buffer])
    } catch {
      return
    }
    if (stored.bytes.length === stored.length) response.setHeader('Upload-Sha256', this.hash(stored.bytes))
    this.tell(stored, response, 204)
  }

  private tell(stored: Stored, response: ServerResponse, status: number): void {
    response
      .writeHead(status, { 'Upload-Offset': String(stored.bytes.length), 'Upload-Length': String(stored.length) })
      .end()
  }
}

/** What XMLHttpRequest is in browsers. As there, an aborted request never answers. */
export class NodeHttpStack implements HttpStack {
  getName(): string {
    return 'NodeHttpStack'
  }

  createRequest(method: string, url: string): HttpRequest {
    return new NodeRequest(method, url)
  }
}

class NodeRequest implements HttpRequest {
  private readonly headers: Record<string, string> = {}
  private underlying: ClientRequest | undefined
  private isAborted = false
  private onProgress: (bytesSent: number) => void = () => undefined

  constructor(
    private readonly method: string,
    private readonly url: string,
  ) {}

  getMethod = (): string => this.method
  getURL = (): string => this.url
  getHeader = (name: string): string | undefined => this.headers[name]
  getUnderlyingObject = (): unknown => this.underlying

  setHeader(name: string, value: string): void {
    this.headers[name] = value
  }

  setProgressHandler(handler: (bytesSent: number) => void): void {
    this.onProgress = handler
  }

  abort(): Promise<void> {
    this.isAborted = true
    this.underlying?.destroy()
    return Promise.resolve()
  }

  async send(body: Blob | null): Promise<HttpResponse> {
    const content = body ? Buffer.from(await body.arrayBuffer()) : undefined
    return new Promise((resolve, reject) => {
      const request = httpRequest(this.url, {
        method: this.method,
        headers: { ...this.headers, ...(content && { 'Content-Length': String(content.length) }) },
      })
      this.underlying = request
      request.on('error', (error) => {
        if (!this.isAborted) reject(error)
      })
      request.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          if (this.isAborted) return
          resolve({
            getStatus: () => response.statusCode ?? 0,
            getHeader: (name) => response.headers[name.toLowerCase()] as string | undefined,
            getBody: () => Buffer.concat(chunks).toString(),
            getUnderlyingObject: () => response,
          } as HttpResponse)
        })
      })
      const half = content && Math.floor(content.length / 2)
      if (content && half) {
        request.write(content.subarray(0, half), () => {
          if (!this.isAborted) this.onProgress(half)
        })
        request.end(content.subarray(half))
      } else {
        request.end(content)
      }
    })
  }
}
