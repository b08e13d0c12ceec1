// One call, from standard input to standard output: what every client in JavaScript has in common.
"use strict";

module.exports = async function run(call) {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  // Of a promise that nobody ever settles nothing else would be heard.
  let result = { error: "Unsettled", message: "The client never said how it went." };
  process.on("exit", () => process.stdout.write(JSON.stringify(result)));
  try {
    const answer = await call(JSON.parse(Buffer.concat(chunks)));
    result = { ok: true, answer: answer ?? {} };
  } catch (error) {
    result = { error: error.name, type: error.constructor.name, message: error.message };
  }
};
