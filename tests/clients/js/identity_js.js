// amazon-cognito-identity-js.
"use strict";

const cognito = require("amazon-cognito-identity-js");
const run = require("./run.js");

run(({ endpoint, client_id, operation, username, code, password }) => {
  const Pool = new cognito.CognitoUserPool({
    UserPoolId: "us-east-1_Example01",
    ClientId: client_id,
    endpoint,
  });
  const user = new cognito.CognitoUser({ Username: username, Pool });
  return new Promise((onSuccess, onFailure) => {
    const callbacks = { onSuccess, onFailure, inputVerificationCode: onSuccess };
    if (operation === "ForgotPassword") {
      user.forgotPassword(callbacks);
    } else if (operation === "ConfirmForgotPassword") {
      user.confirmPassword(code, password, callbacks);
    } else {
      user.setAuthenticationFlowType("USER_PASSWORD_AUTH");
      const details = { Username: username, Password: password };
      user.authenticateUser(new cognito.AuthenticationDetails(details), callbacks);
    }
  });
});
