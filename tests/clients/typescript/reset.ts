// A whole reset with types that come from the schema alone. One JSON object from standard input, one
// to standard output.
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import { askForCode } from "./docs.js";
import type { components, paths } from "./schema.js";

type Message = { username: string; code: string };
type Done = components["schemas"]["CognitoResetConfirmDone"];

const { site, username, password } = JSON.parse(readFileSync(0, "utf8")) as Record<
  "site" | "username" | "password",
  string
>;
const client = createClient<paths>({ baseUrl: site });

async function newestCode(): Promise<string> {
  const messages = (await (await fetch(`${site}/inbox.json`)).json()) as Message[];
  return messages.find((message) => message.username === username)?.code ?? "";
}

async function confirm(confirmation_code: string, chosen: string): Promise<string[]> {
  const body = { username, confirmation_code, password: chosen };
  const { data, error, response } = await client.POST("/api/password-reset/confirm/", { body });
  if (data) {
    const done: Done = data;
    return [String(response.status), ...Object.keys(done)];
  }
  const code = error.errors[0]?.code;
  // The codes are known one by one: this comparison makes no sense, and the compiler says so.
  // @ts-expect-error
  if (code === "no_such_code") throw new Error(code);
  return error.errors.map((problem) => `${response.status} ${problem.attr} ${problem.code}`);
}

async function main(): Promise<void> {
  const { data: policy } = await client.GET("/api/password-reset/policy/");
  const asked = await client.POST("/api/password-reset/", { body: { username } });
  // @ts-expect-error: a request without a name isn't one
  await client.POST("/api/password-reset/", { body: {} });
  const code = await newestCode();
  const result = {
    rules: policy?.rules.map((rule) => rule.code),
    asked: [asked.response.status, asked.data?.resend_after],
    askedAgain: await askForCode(username),
    weak: await confirm(code, "weak"),
    wrong: await confirm("000000", password),
    changed: await confirm(code, password),
  };
  console.log(JSON.stringify(result));
}

void main();
