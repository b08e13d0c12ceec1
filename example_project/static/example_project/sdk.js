// The forms on the endpoint for AWS SDKs, by the AWS SDK for JavaScript.
import { resetClient } from "./aws-sdk.js";
import { start } from "./form.js";

const root = document.querySelector("[data-spa]");
const endpoint = new URL(root.dataset.endpoint, location).href;
const FIELDS = {
  CodeMismatchException: "confirmation_code",
  InvalidPasswordException: "password",
};

start(root, resetClient(endpoint, root.dataset.clientId), (error) => {
  // Without an answer it is no error of Cognito's.
  if (!error.$metadata?.httpStatusCode) return null;
  return [{ field: FIELDS[error.name], text: error.message }];
});
