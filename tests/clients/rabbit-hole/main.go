// What the Terraform provider for RabbitMQ does with rabbit-hole, resource by resource: make, read,
// change, read, delete, and find it gone. Each behaviour is an `ok`.
//
// Usage: HTTP_URL=http://127.0.0.1:15672 bin/client SCENARIO
package main

import (
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
)

const patience = 20 * time.Second

var scenarios = map[string]func(*rabbithole.Client){
	"spaces":   spaces,
	"users":    users,
	"topology": topology,
	"policies": policies,
	"refused":  refused,
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 || scenarios[os.Args[1]] == nil {
		names := []string{}
		for name := range scenarios {
			names = append(names, name)
		}
		slices.Sort(names)
		log.Fatalf("usage: client %s", strings.Join(names, "|"))
	}
	client := got(rabbithole.NewClient(os.Getenv("HTTP_URL"), "guest", "guest"))
	client.SetTimeout(patience)
	scenarios[os.Args[1]](client)
}

// space makes a virtual host of the scenario's own, with a name that paths must quote.
func space(client *rabbithole.Client) (string, func()) {
	name := unique("tf/space ü")
	status(http.StatusCreated)(client.PutVhost(name, rabbithole.VhostSettings{}))
	return name, func() { status(http.StatusNoContent)(client.DeleteVhost(name)) }
}

// status makes a check of the answer, one of these, that a call must have had.
func status(wanted ...int) func(*http.Response, error) {
	return func(response *http.Response, err error) {
		must(err)
		check(slices.Contains(wanted, response.StatusCode), "%s %s: %d instead of %d", response.Request.Method,
			response.Request.URL, response.StatusCode, wanted)
		response.Body.Close()
	}
}

// answered checks that a call was refused with a status; the provider takes 404 for "deleted".
func answered(wanted int, err error, what string) {
	refusal := rabbithole.ErrorResponse{}
	check(errors.As(err, &refusal), "%s: %v instead of %d", what, err, wanted)
	check(refusal.StatusCode == wanted, "%s: %v instead of %d", what, err, wanted)
}

func ok(behaviour string) {
	fmt.Println("ok " + behaviour)
}

func unique(prefix string) string {
	return fmt.Sprintf("%s-%012x", prefix, rand.Uint64()>>16)
}

func equal(found, wanted any, what string) {
	if !reflect.DeepEqual(found, wanted) {
		panic(fmt.Sprintf("%s: %#v instead of %#v", what, found, wanted))
	}
}

func check(holds bool, format string, arguments ...any) {
	if !holds {
		panic(fmt.Sprintf("not so: "+format, arguments...))
	}
}

// until waits until the probe holds.
func until(probe func() bool, what string) {
	for deadline := time.Now().Add(patience); !probe(); time.Sleep(50 * time.Millisecond) {
		check(time.Now().Before(deadline), "%s in time", what)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func got[T any](value T, err error) T {
	must(err)
	return value
}
