// Calls a client that we did not write, one call a line.
//
//   node drive.cjs CLIENT '{"url": …, "key": …}'
//   in    {"call": "requestSms", "words": [{"authyId": 7}, {"force": true}]}
//   out   {"said": [null, {"success": true, …}]}        what the client gave its callback
//
//   in    {"methods": true}                         out  {"said": ["createApprovalRequest", …]}    its public calls
//
// A call may be a path ("phones.info"): what is a function on the way is called without words.

"use strict";

const readline = require("node:readline");

const makers = {
  authy: ({ url, key }) => require("authy")(key, url),
  "authy-client": ({ url, key }) => new (require("authy-client").Client)({ key }, { host: url }),
  afilnet: ({ url, user, password }) => {
    const client = require("afilnet");
    // Its methods read their settings from the group that they stand in.
    for (const at of [client, ...Object.values(client).filter((part) => typeof part === "object")]) {
      Object.assign(at, { url, username: user, password });
    }
    return client;
  },
};

function plain(value) {
  return value instanceof Error ? { name: value.name, message: value.message, ...value } : value;
}

function publicMethods(client) {
  const prototype = Object.getPrototypeOf(client);
  const names = Object.getOwnPropertyNames(prototype === Object.prototype ? client : prototype);
  return names.filter((name) => name !== "constructor" && !name.startsWith("_"));
}

function call(client, path, words) {
  const names = path.split(".");
  const last = names.pop();
  let at = client;
  for (const name of names) {
    at = typeof at[name] === "function" ? at[name]() : at[name];
  }
  return new Promise((resolve) => {
    try {
      const pending = at[last](...words, (...said) => resolve(said));
      // Some clients return a promise too, and of some errors only that one tells.
      if (pending && typeof pending.catch === "function") pending.catch((error) => resolve([error]));
    } catch (error) {
      resolve([error]);
    }
  });
}

async function main() {
  const [name, settings] = process.argv.slice(2);
  const client = makers[name](JSON.parse(settings));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { call: path, words, methods } = JSON.parse(line);
    const said = methods ? publicMethods(client) : await call(client, path, words);
    process.stdout.write(`${JSON.stringify({ said: said.map(plain) })}\n`);
  }
}

main();
