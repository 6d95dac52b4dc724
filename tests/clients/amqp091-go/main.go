// What a Go user does with amqp091-go, one scenario a run.
//
// Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/ bin/client SCENARIO
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const patience = 20 * time.Second

func main() {
	log.SetFlags(0)
	scenarios := map[string]func(){
		"hello": hello, "work_queue": workQueue, "reconnect": reconnect, "tls": underTLS,
	}
	if len(os.Args) != 2 || scenarios[os.Args[1]] == nil {
		log.Fatal("usage: client hello|work_queue|reconnect|tls")
	}
	scenarios[os.Args[1]]()
}

func hello() {
	connection, channel := connect()
	must(channel.ExchangeDeclare("logs", "fanout", true, false, false, false, nil))
	queue := got(channel.QueueDeclare("", false, false, true, false, nil))
	check(strings.HasPrefix(queue.Name, "amq.gen-"), "queue is named %q", queue.Name)
	must(channel.QueueBind(queue.Name, "", "logs", false, nil))
	deliveries := got(channel.Consume(queue.Name, "", true, false, false, false, nil))
	must(channel.PublishWithContext(context.Background(), "logs", "", false, false,
		amqp.Publishing{Body: []byte("Hello, Broker!")}))
	message := next(deliveries, "the greeting")
	fmt.Printf("Received: %s\n", message.Body)
	check(string(message.Body) == "Hello, Broker!", "body is %q", message.Body)
	check(message.Exchange == "logs" && message.RoutingKey == "" && !message.Redelivered,
		"delivery is %+v", message)
	must(connection.Close())
}

// A worker consumes on a channel of its own, with a prefetch of one.
type worker struct {
	channel    *amqp.Channel
	deliveries <-chan amqp.Delivery
	tag        string
}

func startWorker(connection *amqp.Connection, queue, tag string) worker {
	channel := got(connection.Channel())
	must(channel.Qos(1, 0, false))
	return worker{channel, got(channel.Consume(queue, tag, false, false, false, false, nil)), tag}
}

func (w worker) one(what string) amqp.Delivery {
	message := next(w.deliveries, what)
	check(len(w.deliveries) == 0, "prefetch is 1, but %s holds two", w.tag)
	check(message.DeliveryMode == amqp.Persistent, "%s is not persistent", message.Body)
	return message
}

func workQueue() {
	connection, channel := connect()
	must(channel.Confirm(false))
	queue := unique("work")
	got(channel.QueueDeclare(queue, true, false, false, false, nil))
	workers := []worker{startWorker(connection, queue, "one"), startWorker(connection, queue, "two")}
	returns := channel.NotifyReturn(make(chan amqp.Return, 20))
	publish(channel, queue, "task-", 0, 20)
	check(len(returns) == 0, "%d messages were returned", len(returns))

	for first := 0; first < 20; first += 2 {
		held := []amqp.Delivery{}
		seen := map[string]bool{}
		for index, worker := range workers {
			message := worker.one(fmt.Sprintf("round %d", first))
			check(!message.Redelivered, "%s is redelivered", message.Body)
			if first == 0 {
				check(string(message.Body) == fmt.Sprintf("task-%d", index), "not in turn: %s", message.Body)
			}
			seen[string(message.Body)] = true
			held = append(held, message)
		}
		check(seen[fmt.Sprintf("task-%d", first)] && seen[fmt.Sprintf("task-%d", first+1)],
			"round %d has %v", first, seen)
		// What is requeued comes back at once, to the only one with room for it.
		for index, message := range held {
			if string(message.Body) == "task-9" {
				must(message.Nack(false, true))
				held[index] = workers[index].one("task-9 again")
				check(string(held[index].Body) == "task-9" && held[index].Redelivered,
					"after the requeue came %+v", held[index])
			}
		}
		for _, message := range held {
			if string(message.Body) == "task-6" {
				must(message.Reject(false))
			} else {
				must(message.Ack(false))
			}
		}
	}
	for _, worker := range workers {
		must(worker.channel.Cancel(worker.tag, false))
		check(len(worker.deliveries) == 0, "%s got more", worker.tag)
	}
	found := got(channel.QueueDeclarePassive(queue, true, false, false, false, nil))
	check(found.Messages == 0 && found.Consumers == 0, "queue is left as %+v", found)
	_, any, err := channel.Get(queue, false)
	must(err)
	check(!any, "a message is left")
	for _, worker := range workers {
		must(worker.channel.Close())
	}
	check(got(channel.QueueDelete(queue, false, false, false)) == 0, "messages came back")
	must(connection.Close())
}

func reconnect() {
	connection, publisher := connect()
	must(publisher.Confirm(false))
	queue := unique("reconnect")
	got(publisher.QueueDeclare(queue, true, false, false, false, nil))
	publish(publisher, queue, "", 0, 200)

	consumer := got(connection.Channel())
	must(consumer.Qos(50, 0, false))
	deliveries := got(consumer.Consume(queue, "", false, false, false, false, nil))
	held := []amqp.Delivery{}
	for number := 0; number < 50; number++ {
		message := next(deliveries, "50 messages")
		check(string(message.Body) == strconv.Itoa(number), "message %d is %s", number, message.Body)
		held = append(held, message)
	}
	for _, message := range held[:20] {
		must(message.Ack(false))
	}
	// Answered after the acks before it on the same channel.
	got(consumer.QueueDeclarePassive(queue, true, false, false, false, nil))
	publish(publisher, queue, "", 200, 210)

	closed := connection.NotifyClose(make(chan *amqp.Error, 1))
	fmt.Println("KILL ME")
	select {
	case <-closed:
	case <-time.After(patience):
		log.Fatal("the broker was not killed")
	}

	connection, channel := again()
	deliveries = got(channel.Consume(queue, "", false, false, false, false, nil))
	var last amqp.Delivery
	for number := 20; number < 210; number++ {
		last = next(deliveries, fmt.Sprintf("message %d after the restart", number))
		check(string(last.Body) == strconv.Itoa(number), "expected message %d, got %s", number, last.Body)
	}
	must(last.Ack(true))
	found := got(channel.QueueDeclarePassive(queue, true, false, false, false, nil))
	check(found.Messages == 0 && len(deliveries) == 0, "more is left: %+v", found)
	must(channel.Close())
	channel = got(connection.Channel())
	check(got(channel.QueueDelete(queue, false, false, false)) == 0, "messages came back")
	must(connection.Close())
}

// publish sends persistent messages and waits until each one is confirmed.
func publish(channel *amqp.Channel, queue, prefix string, start, end int) {
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pending := []*amqp.DeferredConfirmation{}
	for number := start; number < end; number++ {
		pending = append(pending, got(channel.PublishWithDeferredConfirm("", queue, true, false,
			amqp.Publishing{
				DeliveryMode: amqp.Persistent,
				Body:         []byte(prefix + strconv.Itoa(number)),
			})))
	}
	for _, confirm := range pending {
		check(got(confirm.WaitContext(within)), "publish %d was refused", confirm.DeliveryTag)
	}
}

func connect() (*amqp.Connection, *amqp.Channel) {
	connection := got(amqp.Dial(os.Getenv("AMQP_URL")))
	return connection, got(connection.Channel())
}

// again connects to the restarted broker within a bounded number of attempts.
func again() (*amqp.Connection, *amqp.Channel) {
	for attempt := 0; attempt < 240; attempt++ {
		connection, err := amqp.Dial(os.Getenv("AMQP_URL"))
		if err == nil {
			return connection, got(connection.Channel())
		}
		time.Sleep(250 * time.Millisecond)
	}
	log.Fatal("the broker did not come back")
	return nil, nil
}

func next(deliveries <-chan amqp.Delivery, what string) amqp.Delivery {
	select {
	case message, open := <-deliveries:
		check(open, "the channel closed while waiting for %s", what)
		return message
	case <-time.After(patience):
		log.Fatalf("waited %s for %s", patience, what)
		panic("unreachable")
	}
}

func unique(name string) string {
	return fmt.Sprintf("%s-%d-%d", name, os.Getpid(), time.Now().UnixNano())
}

func check(holds bool, format string, arguments ...any) {
	if !holds {
		log.Fatalf(format, arguments...)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func got[T any](value T, err error) T {
	must(err)
	return value
}
