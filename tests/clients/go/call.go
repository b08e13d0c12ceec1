// One call, from standard input to standard output: what both versions of the SDK for Go have in common.
package main

import (
	"encoding/json"
	"os"
	"reflect"
)

type call struct {
	Endpoint  string          `json:"endpoint"`
	Operation string          `json:"operation"`
	Members   json.RawMessage `json:"members"`
}

// read fills the operation's input: the SDKs name its fields as AWS names the members.
func (asked call) read(input interface{}) {
	must(json.Unmarshal(asked.Members, input))
}

func main() {
	var asked call
	must(json.NewDecoder(os.Stdin).Decode(&asked))
	answer, err := send(asked)
	said := map[string]interface{}{"ok": true, "answer": answer}
	if err != nil {
		said = refusal(err)
	}
	must(json.NewEncoder(os.Stdout).Encode(said))
}

func named(failure error, code string, message string) map[string]interface{} {
	class := reflect.TypeOf(failure).Elem().Name()
	return map[string]interface{}{"error": code, "type": class, "message": message}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
