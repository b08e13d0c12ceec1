// authenticator.jsx: Amplify UI's Authenticator, whose "Forgot your password?" asks the site.
import { Authenticator } from "@aws-amplify/ui-react";
import "@aws-amplify/ui-react/styles.css";
import { resetClient, ResetError } from "./rest.js";

// The form shows an error's message. Without an answer from the site, that is the browser's, and not for people.
const orElse = (text) => (error) => {
  throw error instanceof ResetError ? error : new Error(text, { cause: error });
};
const noAnswer = {
  request: "There was no answer. If you don't get a code, try again.",
  confirm: "There was no answer. Try to sign in with the new password.",
};

export function SignIn({ endpoint, children }) {
  const client = resetClient(endpoint);
  const services = {
    async handleForgotPassword({ username }) {
      await client.requestCode(username).catch(orElse(noAnswer.request));
      return {
        nextStep: {
          resetPasswordStep: "CONFIRM_RESET_PASSWORD_WITH_CODE",
          codeDeliveryDetails: { destination: username },
        },
      };
    },
    async handleForgotPasswordSubmit({ username, confirmationCode, newPassword }) {
      await client
        .confirmReset(username, confirmationCode, newPassword)
        .catch(orElse(noAnswer.confirm));
    },
  };
  return <Authenticator services={services}>{children}</Authenticator>;
}
