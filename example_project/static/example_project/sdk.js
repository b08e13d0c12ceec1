// The forms with the AWS SDK for JavaScript, on the site's endpoint for AWS SDKs.
import { resetClient } from "./aws-sdk.js";
import { start } from "./form.js";

const root = document.querySelector("[data-spa]");
const endpoint = new URL(root.dataset.endpoint, location).href;
const FIELDS = {
  CodeMismatchException: "confirmation_code",
  InvalidPasswordException: "password",
  PasswordHistoryPolicyViolationException: "password",
  // The site writes "<member>: <problem>" for each problem.
  Username: "username",
  ConfirmationCode: "confirmation_code",
  Password: "password",
};

start(root, resetClient(endpoint, root.dataset.clientId), (error) => {
  // Without an answer, the error isn't one of Cognito's.
  if (!error.$metadata?.httpStatusCode) return null;
  const parts = error.message.split(/(?:^| )(Username|ConfirmationCode|Password): /).slice(1);
  if (error.name !== "InvalidParameterException" || !parts.length) {
    return [{ field: FIELDS[error.name], text: error.message }];
  }
  const texts = parts.filter((_, index) => index % 2);
  return texts.map((text, index) => ({ field: FIELDS[parts[2 * index]], text }));
});
