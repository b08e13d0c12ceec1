// @aws-sdk/client-cognito-identity-provider, version 3 of the AWS SDK for JavaScript.
"use strict";

const sdk = require("@aws-sdk/client-cognito-identity-provider");
const run = require("./run.js");

run(async ({ endpoint, client_id, operation, username, code, password }) => {
  const client = new sdk.CognitoIdentityProviderClient({
    region: "us-east-1",
    // Without one, the environment says where the service is.
    ...(endpoint && { endpoint }),
  });
  const members = {
    ForgotPassword: { Username: username },
    ConfirmForgotPassword: { Username: username, ConfirmationCode: code, Password: password },
    InitiateAuth: {
      AuthFlow: "USER_PASSWORD_AUTH",
      AuthParameters: { USERNAME: username, PASSWORD: password },
    },
  }[operation];
  const { $metadata, ...answer } = await client.send(
    new sdk[`${operation}Command`]({ ClientId: client_id, ...members }),
  );
  return answer;
});
