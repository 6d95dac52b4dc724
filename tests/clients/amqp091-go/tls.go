package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

// underTLS takes the broker's authority, the certificate of a user and another authority from the
// environment, and its address from AMQP_URL.
func underTLS() {
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	for name, version := range versions {
		settings := trusting(os.Getenv("TLS_AUTHORITY"))
		settings.MinVersion, settings.MaxVersion = version, version
		connection := got(amqp.DialTLS(os.Getenv("AMQP_URL"), settings))
		check(connection.ConnectionState().Version == version, "not TLS %s", name)
		roundTrip(connection, "guest")
		fmt.Printf("ok a password under TLS %s\n", name)
	}

	settings := trusting(os.Getenv("TLS_AUTHORITY"))
	settings.Certificates = []tls.Certificate{
		got(tls.LoadX509KeyPair(os.Getenv("TLS_CERTIFICATE"), os.Getenv("TLS_KEY"))),
	}
	roundTrip(got(amqp.DialTLS_ExternalAuth(os.Getenv("AMQP_URL"), settings)), os.Getenv("TLS_USER"))
	fmt.Println("ok EXTERNAL by a certificate")

	_, err := amqp.DialTLS_ExternalAuth(os.Getenv("AMQP_URL"), trusting(os.Getenv("TLS_AUTHORITY")))
	check(err != nil, "EXTERNAL was let in without a certificate")
	fmt.Println("ok EXTERNAL is nothing without one")

	_, err = amqp.DialTLS(os.Getenv("AMQP_URL"), trusting(os.Getenv("TLS_STRANGER")))
	unknown := x509.UnknownAuthorityError{}
	check(errors.As(err, &unknown), "of another authority: %v", err)
	fmt.Println("ok a broker of another authority is not talked to")
}

func trusting(authority string) *tls.Config {
	pool := x509.NewCertPool()
	check(pool.AppendCertsFromPEM(got(os.ReadFile(authority))), "no certificate in %s", authority)
	return &tls.Config{RootCAs: pool}
}

// roundTrip publishes more than a TLS record holds, in the name of the user, and gets it back.
func roundTrip(connection *amqp.Connection, user string) {
	channel := got(connection.Channel())
	must(channel.Confirm(false))
	queue := got(channel.QueueDeclare("", false, false, true, false, nil))
	body := bytes.Repeat([]byte("0123456789"), 100_000)
	confirm := got(channel.PublishWithDeferredConfirm("", queue.Name, true, false,
		amqp.Publishing{UserId: user, Body: body}))
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	check(got(confirm.WaitContext(within)), "the publish was refused")
	message, any, err := channel.Get(queue.Name, true)
	must(err)
	check(any && bytes.Equal(message.Body, body), "another message came back")
	must(connection.Close())
}
