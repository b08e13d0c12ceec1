// The AWS SDK for Go, version 2.
package main

import (
	"context"
	"errors"

	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/smithy-go"
)

func send(asked call) (interface{}, error) {
	ctx := context.Background()
	client := cognito.New(cognito.Options{
		Region:           "us-east-1",
		EndpointResolver: cognito.EndpointResolverFromURL(asked.Endpoint),
	})
	switch asked.Operation {
	case "ForgotPassword":
		input := &cognito.ForgotPasswordInput{}
		asked.read(input)
		return client.ForgotPassword(ctx, input)
	case "ConfirmForgotPassword":
		input := &cognito.ConfirmForgotPasswordInput{}
		asked.read(input)
		return client.ConfirmForgotPassword(ctx, input)
	}
	input := &cognito.InitiateAuthInput{}
	asked.read(input)
	return client.InitiateAuth(ctx, input)
}

func refusal(err error) map[string]interface{} {
	var failure smithy.APIError
	if errors.As(err, &failure) {
		return named(failure, failure.ErrorCode(), failure.ErrorMessage())
	}
	return map[string]interface{}{"error": "error", "message": err.Error()}
}
