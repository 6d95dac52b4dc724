// What Go services do with franz-go and Sarama, one scenario a run; each behaviour an `ok`.
//
// Usage: KAFKA_BOOTSTRAP=127.0.0.1:9092 bin/client SCENARIO
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

const patience = 30 * time.Second

var bootstrap = "127.0.0.1:9092"

var scenarios = map[string]func(context.Context){
	"franz_records":      franzRecords,
	"franz_group":        franzClassic,
	"franz_next_group":   franzNext,
	"franz_share":        franzShare,
	"franz_transactions": franzTransactions,
	"franz_admin":        franzAdmin,
	"franz_killed":       franzKilled,
	"sarama_producers":   saramaProducers,
	"sarama_group":       saramaGroup,
	"sarama_transaction": saramaTransaction,
	"sarama_admin":       saramaAdmin,
	"tls":                underTLS,
}

func main() {
	log.SetFlags(0)
	if set := os.Getenv("KAFKA_BOOTSTRAP"); set != "" {
		bootstrap = set
	}
	if len(os.Args) != 2 || scenarios[os.Args[1]] == nil {
		names := make([]string, 0, len(scenarios))
		for name := range scenarios {
			names = append(names, name)
		}
		slices.Sort(names)
		log.Fatalf("usage: client %s", strings.Join(names, "|"))
	}
	// Whatever hangs ends with an error that names it.
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	scenarios[os.Args[1]](ctx)
}

func ok(behaviour string) {
	fmt.Println("ok " + behaviour)
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

func check(holds bool, format string, arguments ...any) {
	if !holds {
		panic(fmt.Sprintf("not so: "+format, arguments...))
	}
}

func equal(found, wanted any, what string) {
	if !reflect.DeepEqual(found, wanted) {
		panic(fmt.Sprintf("%s: %v instead of %v", what, found, wanted))
	}
}

// until waits until the probe holds.
func until(probe func() bool, what string) {
	for deadline := time.Now().Add(patience); !probe(); time.Sleep(20 * time.Millisecond) {
		check(time.Now().Before(deadline), "%s in time", what)
	}
}

func unique(prefix string) string {
	return fmt.Sprintf("%s-%012x", prefix, rand.Uint64()>>16)
}

// numbered gives the prefix with 0 up to the count.
func numbered(prefix string, count int) []string {
	values := make([]string, count)
	for at := range values {
		values[at] = fmt.Sprintf("%s%03d", prefix, at)
	}
	return values
}
