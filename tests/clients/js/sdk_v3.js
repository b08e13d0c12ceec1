// @aws-sdk/client-cognito-identity-provider, version 3 of the AWS SDK for JavaScript.
"use strict";

const sdk = require("@aws-sdk/client-cognito-identity-provider");
const run = require("./run.js");

run(async ({ endpoint, operation, members }) => {
  const client = new sdk.CognitoIdentityProviderClient({
    region: "us-east-1",
    // Without one, the environment says where the service is.
    ...(endpoint && { endpoint }),
  });
  const { $metadata, ...answer } = await client.send(
    new sdk[`${operation}Command`](members),
  );
  return answer;
});
