// aws-sdk, version 2 of the AWS SDK for JavaScript.
"use strict";

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
const AWS = require("aws-sdk");
const run = require("./run.js");

run(({ endpoint, client_id, operation, username, code, password }) => {
  const client = new AWS.CognitoIdentityServiceProvider({ region: "us-east-1", endpoint });
  const members = {
    ForgotPassword: { Username: username },
    ConfirmForgotPassword: { Username: username, ConfirmationCode: code, Password: password },
    InitiateAuth: {
      AuthFlow: "USER_PASSWORD_AUTH",
      AuthParameters: { USERNAME: username, PASSWORD: password },
    },
  }[operation];
  const method = operation[0].toLowerCase() + operation.slice(1);
  return client[method]({ ClientId: client_id, ...members }).promise();
});
