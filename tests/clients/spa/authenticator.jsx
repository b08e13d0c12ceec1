// authenticator.jsx: Amplify UI's Authenticator, whose "Forgot your password?" asks the site.
import { Authenticator } from "@aws-amplify/ui-react";
import "@aws-amplify/ui-react/styles.css";
import { resetClient } from "./rest.js";

export function SignIn({ endpoint, children }) {
  const client = resetClient(endpoint);
  const services = {
    async handleForgotPassword({ username }) {
      await client.requestCode(username);
      return {
        nextStep: {
          resetPasswordStep: "CONFIRM_RESET_PASSWORD_WITH_CODE",
          codeDeliveryDetails: { destination: username },
        },
      };
    },
    async handleForgotPasswordSubmit({ username, confirmationCode, newPassword }) {
      await client.confirmReset(username, confirmationCode, newPassword);
    },
  };
  return <Authenticator services={services}>{children}</Authenticator>;
}
