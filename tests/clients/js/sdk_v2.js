// aws-sdk, version 2 of the AWS SDK for JavaScript.
"use strict";

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
const AWS = require("aws-sdk");
const run = require("./run.js");

run(({ endpoint, operation, members }) => {
  const client = new AWS.CognitoIdentityServiceProvider({ region: "us-east-1", endpoint });
  const method = operation[0].toLowerCase() + operation.slice(1);
  return client[method](members).promise();
});
