// aws-amplify, with a context: its two calls alone go to the endpoint.
"use strict";

const { createAmplifyContext } = require("aws-amplify");
const { confirmResetPassword, resetPassword, signIn } = require("aws-amplify/auth");
const run = require("./run.js");

run(async ({ endpoint, client_id, operation, username, code, password }) => {
  const context = createAmplifyContext({
    Auth: {
      Cognito: {
        userPoolId: "us-east-1_Example01",
        userPoolClientId: client_id,
        userPoolEndpoint: endpoint,
      },
    },
  });
  if (operation === "ForgotPassword") {
    return resetPassword(context, { username });
  }
  if (operation === "ConfirmForgotPassword") {
    return confirmResetPassword(context, {
      username,
      confirmationCode: code,
      newPassword: password,
    });
  }
  const options = { authFlowType: "USER_PASSWORD_AUTH" };
  return signIn(context, { username, password, options });
});
