package main

import (
	"net/http"
	"net/url"
	"path"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
)

// topology is rabbitmq_exchange, rabbitmq_queue and rabbitmq_binding.
func topology(client *rabbithole.Client) {
	vhost, drop := space(client)
	defer drop()

	_, err := client.GetExchange(vhost, "tf.exchange")
	answered(http.StatusNotFound, err, "an exchange that is not there")
	exchange := rabbithole.ExchangeSettings{
		Type: "topic", Durable: true, Arguments: map[string]any{"alternate-exchange": "amq.fanout"},
	}
	status(http.StatusCreated)(client.DeclareExchange(vhost, "tf.exchange", exchange))
	status(http.StatusNoContent)(client.DeclareExchange(vhost, "tf.exchange", exchange))
	made := got(client.GetExchange(vhost, "tf.exchange"))
	equal([]any{made.Name, made.Vhost, made.Type, made.Durable, made.AutoDelete, made.Internal, made.Arguments},
		[]any{"tf.exchange", vhost, "topic", true, false, false, exchange.Arguments}, "the exchange")
	_, err = client.DeclareExchange(vhost, "tf.exchange", rabbithole.ExchangeSettings{Type: "fanout"})
	answered(http.StatusBadRequest, err, "an exchange that is there and another")
	status(http.StatusCreated)(client.DeclareExchange(vhost, "tf.passing",
		rabbithole.ExchangeSettings{Type: "fanout", AutoDelete: true}))
	passing := got(client.GetExchange(vhost, "tf.passing"))
	equal([]any{passing.Durable, passing.AutoDelete, len(passing.Arguments)}, []any{false, true, 0}, "the other")
	ok("exchanges are declared and read")

	queues := map[string]rabbithole.QueueSettings{
		"tf.plain":   {Durable: true},
		"tf.passing": {AutoDelete: true},
		"tf/quorum ü": {Durable: true, Arguments: map[string]any{
			"x-queue-type": "quorum", "x-delivery-limit": 3.0}},
		"tf.full": {Durable: true, Arguments: map[string]any{
			"x-message-ttl": 60000.0, "x-max-length": 10.0, "x-overflow": "reject-publish",
			"x-dead-letter-exchange": "tf.exchange", "x-dead-letter-routing-key": "dead",
			"x-max-priority": 5.0}},
		"tf.stream": {Durable: true, Arguments: map[string]any{
			"x-queue-type": "stream", "x-max-age": "7D"}},
	}
	for name, settings := range queues {
		_, err = client.GetQueue(vhost, name)
		answered(http.StatusNotFound, err, "a queue that is not there")
		status(http.StatusCreated)(client.DeclareQueue(vhost, name, settings))
		status(http.StatusNoContent)(client.DeclareQueue(vhost, name, settings))
		made := got(client.GetQueue(vhost, name))
		wanted := settings.Arguments
		if wanted == nil {
			wanted = map[string]any{}
		}
		equal([]any{made.Name, made.Vhost, made.Durable, bool(made.AutoDelete), made.Arguments},
			[]any{name, vhost, settings.Durable, settings.AutoDelete, wanted}, name)
		kind, given := settings.Arguments["x-queue-type"]
		if !given {
			kind = "classic"
		}
		equal(made.Type, kind, "the kind of "+name)
	}
	_, err = client.DeclareQueue(vhost, "tf.plain", rabbithole.QueueSettings{Durable: true,
		Arguments: map[string]any{"x-max-length": 1}})
	answered(http.StatusBadRequest, err, "a queue that is there and another")
	equal(len(got(client.ListQueuesIn(vhost))), len(queues), "queues")
	ok("queues are declared and read, with arguments")

	bindings := []rabbithole.BindingInfo{
		{Source: "tf.exchange", Destination: "tf.plain", DestinationType: "queue", RoutingKey: "a.#"},
		{Source: "tf.exchange", Destination: "tf.plain", DestinationType: "queue", RoutingKey: ""},
		{Source: "tf.exchange", Destination: "tf.plain", DestinationType: "queue", RoutingKey: "odd key/~%ü"},
		{Source: "tf.exchange", Destination: "tf/quorum ü", DestinationType: "queue", RoutingKey: "a.*"},
		{Source: "amq.headers", Destination: "tf.plain", DestinationType: "queue",
			Arguments: map[string]any{"x-match": "any", "number": 5.0, "true": true}},
		{Source: "amq.headers", Destination: "tf.plain", DestinationType: "queue", RoutingKey: "k",
			Arguments: map[string]any{"x-match": "all", "name": "value"}},
		{Source: "tf.exchange", Destination: "tf.passing", DestinationType: "exchange", RoutingKey: "b"},
	}
	for at := range bindings {
		binding := &bindings[at]
		response := got(client.DeclareBinding(vhost, *binding))
		response.Body.Close()
		equal(response.StatusCode, http.StatusCreated, "declaring a binding")
		// What the provider remembers a binding by, and looks for in what is listed.
		location := response.Header.Get("Location")
		binding.PropertiesKey = got(url.PathUnescape(path.Base(location)))
		found := findBinding(client, vhost, *binding)
		check(found != nil, "a binding with the key %q, from %q", binding.PropertiesKey, location)
		wanted := binding.Arguments
		if wanted == nil {
			wanted = map[string]any{}
		}
		equal([]any{found.Vhost, found.RoutingKey, found.Arguments},
			[]any{vhost, binding.RoutingKey, wanted}, "the binding")
		again := got(client.DeclareBinding(vhost, *binding))
		again.Body.Close()
		equal(again.StatusCode, http.StatusCreated, "declaring a binding again")
		equal(again.Header.Get("Location"), location, "where it is")
	}
	ok("bindings are declared, and found by the key that was told")

	for _, binding := range bindings {
		status(http.StatusNoContent)(client.DeleteBinding(vhost, binding))
		check(findBinding(client, vhost, binding) == nil, "gone: %q", binding.PropertiesKey)
		status(http.StatusNotFound)(client.DeleteBinding(vhost, binding))
	}
	_, err = client.DeclareBinding(vhost, rabbithole.BindingInfo{
		Source: "tf.exchange", Destination: "no such queue", DestinationType: "queue"})
	answered(http.StatusNotFound, err, "a binding to nothing")
	ok("deleted bindings are gone, and deleting them again is no error")

	for name := range queues {
		status(http.StatusNoContent)(client.DeleteQueue(vhost, name))
		_, err = client.GetQueue(vhost, name)
		answered(http.StatusNotFound, err, "a deleted queue")
		status(http.StatusNotFound)(client.DeleteQueue(vhost, name))
	}
	status(http.StatusNoContent)(client.DeleteExchange(vhost, "tf.exchange"))
	_, err = client.GetExchange(vhost, "tf.exchange")
	answered(http.StatusNotFound, err, "a deleted exchange")
	status(http.StatusNotFound)(client.DeleteExchange(vhost, "tf.exchange"))
	ok("deleted queues and exchanges are gone, and deleting them again is no error")
}

// findBinding looks where the provider does; nil if it is not there.
func findBinding(client *rabbithole.Client, vhost string, wanted rabbithole.BindingInfo) *rabbithole.BindingInfo {
	between := client.ListQueueBindingsBetween
	if wanted.DestinationType == "exchange" {
		between = client.ListExchangeBindingsBetween
	}
	for _, binding := range got(between(vhost, wanted.Source, wanted.Destination)) {
		if binding.Source == wanted.Source && binding.Destination == wanted.Destination &&
			binding.DestinationType == wanted.DestinationType && binding.PropertiesKey == wanted.PropertiesKey {
			return &binding
		}
	}
	return nil
}
