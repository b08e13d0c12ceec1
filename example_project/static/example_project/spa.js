// The forms with the REST endpoints.
import { start } from "./form.js";
import { ResetError, resetClient } from "./rest.js";

const root = document.querySelector("[data-spa]");

start(root, resetClient(root.dataset.endpoint), (error) => {
  if (!(error instanceof ResetError)) return null;
  const wait = error.retryAfter ? ` (${error.retryAfter} seconds)` : "";
  return error.errors.map(({ attr, detail }) => ({ field: attr, text: detail + wait }));
});
