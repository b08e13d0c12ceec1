// amplify.js: Amplify (6.22 or newer), with the site for these two calls and AWS for all others.
import { createAmplifyContext } from "aws-amplify";
import { confirmResetPassword, resetPassword } from "aws-amplify/auth";

export function resetClient(userPoolEndpoint, userPoolClientId) {
  const context = createAmplifyContext({
    Auth: {
      Cognito: { userPoolId: "us-east-1_Example01", userPoolClientId, userPoolEndpoint },
    },
  });
  return {
    requestCode: (username) => resetPassword(context, { username }),
    confirmReset: (username, confirmationCode, newPassword) =>
      confirmResetPassword(context, { username, confirmationCode, newPassword }),
  };
}
