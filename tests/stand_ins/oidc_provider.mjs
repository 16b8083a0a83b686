// The npm package `oidc-provider`, certified by the OpenID Foundation, on https://localhost:<port>/oidc, with its own pages to sign in.
// Told by JSON on the command line: {key, certificate, client: {id, secret, redirect, left}, people: {login: claims}}; prints its port.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const path = createRequire(new URL("../../backend/frontend/package.json", import.meta.url)).resolve("oidc-provider");
const { default: Provider } = await import(pathToFileURL(path));
const wish = JSON.parse(process.argv[2]);

const server = createServer({ key: readFileSync(wish.key), cert: readFileSync(wish.certificate) });
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address();

const provider = new Provider(`https://localhost:${port}/oidc`, {
  clients: [
    {
      client_id: wish.client.id,
      client_secret: wish.client.secret,
      redirect_uris: [wish.client.redirect],
      post_logout_redirect_uris: [wish.client.left],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  claims: { openid: ["sub", "groups"], email: ["email", "email_verified"], profile: ["name"] },
  // Claims in the ID token itself, as Entra has them.
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: ["only for tests"] },
  findAccount: (_, login) =>
    wish.people[login] && { accountId: login, claims: () => ({ sub: login, ...wish.people[login] }) },
});
provider.on("server_error", (_, error) => console.error(error));

const answer = provider.callback();
server.on("request", (request, response) => {
  // Mounted below a path, as `msal` demands one: what frameworks do for a mounted application.
  request.originalUrl = request.url;
  request.baseUrl = "/oidc";
  request.url = request.url.replace(/^\/oidc/, "") || "/";
  answer(request, response);
});
console.log(port);
