// The AWS SDK for Go, version 1: one call, from standard input to standard output.
package main

import (
	"encoding/json"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/cognitoidentityprovider"
)

type asked struct {
	Endpoint  string          `json:"endpoint"`
	Operation string          `json:"operation"`
	Members   json.RawMessage `json:"members"`
}

func main() {
	var call asked
	must(json.NewDecoder(os.Stdin).Decode(&call))
	config := &aws.Config{Region: aws.String("us-east-1"), Endpoint: aws.String(call.Endpoint)}
	client := cognitoidentityprovider.New(session.Must(session.NewSession(config)))
	answer, err := send(client, call)
	said := map[string]interface{}{"ok": true, "answer": answer}
	if err != nil {
		said = refusal(err)
	}
	must(json.NewEncoder(os.Stdout).Encode(said))
}

func send(client *cognitoidentityprovider.CognitoIdentityProvider, call asked) (interface{}, error) {
	switch call.Operation {
	case "ForgotPassword":
		input := &cognitoidentityprovider.ForgotPasswordInput{}
		must(json.Unmarshal(call.Members, input))
		return client.ForgotPassword(input)
	case "ConfirmForgotPassword":
		input := &cognitoidentityprovider.ConfirmForgotPasswordInput{}
		must(json.Unmarshal(call.Members, input))
		return client.ConfirmForgotPassword(input)
	default:
		input := &cognitoidentityprovider.InitiateAuthInput{}
		must(json.Unmarshal(call.Members, input))
		return client.InitiateAuth(input)
	}
}

func refusal(err error) map[string]interface{} {
	if failure, ok := err.(awserr.Error); ok {
		return map[string]interface{}{
			"error":   failure.Code(),
			"type":    reflect.TypeOf(failure).Elem().Name(),
			"message": failure.Message(),
		}
	}
	return map[string]interface{}{"error": "error", "message": err.Error()}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
