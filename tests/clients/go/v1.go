// The AWS SDK for Go, version 1.
package main

import (
	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/session"
	cognito "github.com/aws/aws-sdk-go/service/cognitoidentityprovider"
)

func send(asked call) (interface{}, error) {
	config := &aws.Config{Region: aws.String("us-east-1"), Endpoint: aws.String(asked.Endpoint)}
	client := cognito.New(session.Must(session.NewSession(config)))
	switch asked.Operation {
	case "ForgotPassword":
		input := &cognito.ForgotPasswordInput{}
		asked.read(input)
		return client.ForgotPassword(input)
	case "ConfirmForgotPassword":
		input := &cognito.ConfirmForgotPasswordInput{}
		asked.read(input)
		return client.ConfirmForgotPassword(input)
	}
	input := &cognito.InitiateAuthInput{}
	asked.read(input)
	return client.InitiateAuth(input)
}

func refusal(err error) map[string]interface{} {
	failure := err.(awserr.Error)
	return named(failure, failure.Code(), failure.Message())
}
