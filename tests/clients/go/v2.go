// The AWS SDK for Go, version 2: one call, from standard input to standard output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/smithy-go"
)

type asked struct {
	Endpoint  string          `json:"endpoint"`
	Operation string          `json:"operation"`
	Members   json.RawMessage `json:"members"`
}

func main() {
	var call asked
	must(json.NewDecoder(os.Stdin).Decode(&call))
	client := cognitoidentityprovider.New(cognitoidentityprovider.Options{
		Region:           "us-east-1",
		EndpointResolver: cognitoidentityprovider.EndpointResolverFromURL(call.Endpoint),
	})
	answer, err := send(client, call)
	said := map[string]interface{}{"ok": true, "answer": answer}
	if err != nil {
		said = refusal(err)
	}
	must(json.NewEncoder(os.Stdout).Encode(said))
}

func send(client *cognitoidentityprovider.Client, call asked) (interface{}, error) {
	ctx := context.Background()
	switch call.Operation {
	case "ForgotPassword":
		input := &cognitoidentityprovider.ForgotPasswordInput{}
		must(json.Unmarshal(call.Members, input))
		return client.ForgotPassword(ctx, input)
	case "ConfirmForgotPassword":
		input := &cognitoidentityprovider.ConfirmForgotPasswordInput{}
		must(json.Unmarshal(call.Members, input))
		return client.ConfirmForgotPassword(ctx, input)
	default:
		input := &cognitoidentityprovider.InitiateAuthInput{}
		must(json.Unmarshal(call.Members, input))
		return client.InitiateAuth(ctx, input)
	}
}

func refusal(err error) map[string]interface{} {
	var failure smithy.APIError
	if errors.As(err, &failure) {
		return map[string]interface{}{
			"error":   failure.ErrorCode(),
			"type":    reflect.TypeOf(failure).Elem().Name(),
			"message": failure.ErrorMessage(),
		}
	}
	return map[string]interface{}{"error": "error", "message": err.Error()}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
