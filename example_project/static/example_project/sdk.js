// The forms on the endpoint for AWS SDKs, by the AWS SDK for JavaScript.
import { resetClient } from "./aws-sdk.js";
import { start } from "./form.js";

const root = document.querySelector("[data-spa]");
const endpoint = new URL(root.dataset.endpoint, location).href;
const FIELDS = {
  CodeMismatchException: "confirmation_code",
  InvalidPasswordException: "password",
  PasswordHistoryPolicyViolationException: "password",
  // Members, as the site names them before what is wrong with each.
  Username: "username",
  ConfirmationCode: "confirmation_code",
  Password: "password",
};

start(root, resetClient(endpoint, root.dataset.clientId), (error) => {
  // Without an answer it is no error of Cognito's.
  if (!error.$metadata?.httpStatusCode) return null;
  const parts = error.message.split(/(?:^| )(Username|ConfirmationCode|Password): /).slice(1);
  if (error.name !== "InvalidParameterException" || !parts.length) {
    return [{ field: FIELDS[error.name], text: error.message }];
  }
  const texts = parts.filter((_, index) => index % 2);
  return texts.map((text, index) => ({ field: FIELDS[parts[2 * index]], text }));
});
