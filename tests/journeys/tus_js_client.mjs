// tus-js-client as its README shows it, driven by JSON on the command line:
// {endpoint, token, metadata, path, chunkSize?, withCreation?, url?, abortAfter?, forget?} prints {url, sent, sha256} at the end.
import { createReadStream, statSync } from "node:fs";
import { createRequire } from "node:module";

const tus = createRequire(new URL("../../backend/frontend/package.json", import.meta.url))("tus-js-client");
const wish = JSON.parse(process.argv[2]);
let first = null;
let sha256 = null;

const upload = new tus.Upload(createReadStream(wish.path), {
  endpoint: wish.endpoint,
  uploadUrl: wish.url ?? null,
  uploadSize: statSync(wish.path).size,
  chunkSize: wish.chunkSize ?? Infinity,
  uploadDataDuringCreation: wish.withCreation ?? false,
  retryDelays: [0, 200, 500, 1000, 2000],
  headers: { Authorization: `Bearer ${wish.token}` },
  metadata: wish.metadata,
  onBeforeRequest: (request) => {
    if (request.getMethod() === "PATCH") first ??= Number(request.getHeader("Upload-Offset"));
  },
  onAfterResponse: (_request, response) => {
    sha256 = response.getHeader("Upload-Sha256") ?? sha256;
  },
  onProgress: (sent) => {
    if (wish.abortAfter && sent >= wish.abortAfter) {
      delete wish.abortAfter;
      void upload.abort(wish.forget ?? false).then(() => console.log(JSON.stringify({ url: upload.url, first })));
    }
  },
  onSuccess: () => console.log(JSON.stringify({ url: upload.url, first, sha256 })),
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
});
upload.start();
