// sdk.js: the AWS SDK for JavaScript, with the site for its endpoint.
import {
  CognitoIdentityProviderClient,
  ConfirmForgotPasswordCommand,
  ForgotPasswordCommand,
} from "@aws-sdk/client-cognito-identity-provider";

export function resetClient(endpoint, ClientId) {
  // The SDK requires a Region; the site ignores it.
  const client = new CognitoIdentityProviderClient({ endpoint, region: "us-east-1" });
  return {
    requestCode: (Username) => client.send(new ForgotPasswordCommand({ ClientId, Username })),
    confirmReset: (Username, ConfirmationCode, Password) =>
      client.send(
        new ConfirmForgotPasswordCommand({ ClientId, Username, ConfirmationCode, Password }),
      ),
  };
}
