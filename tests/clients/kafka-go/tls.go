package main

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"hash"
	"os"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	xdg "github.com/xdg-go/scram"
)

// underTLS takes the broker's authority, the certificate of a user, the user's password and another
// authority from the environment.
func underTLS(ctx context.Context) {
	user, password := os.Getenv("TLS_USER"), os.Getenv("TLS_PASSWORD")
	trusted := trusting(os.Getenv("TLS_AUTHORITY"))
	certified := trusted.Clone()
	certified.Certificates = []tls.Certificate{
		got(tls.LoadX509KeyPair(os.Getenv("TLS_CERTIFICATE"), os.Getenv("TLS_KEY"))),
	}
	stranger := trusting(os.Getenv("TLS_STRANGER"))
	unknown := x509.UnknownAuthorityError{}

	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		settings := certified.Clone()
		settings.MinVersion, settings.MaxVersion = version, version
		franzUnderTLS(ctx, kgo.DialTLSConfig(settings))
		saramaUnderTLS(ctx, func(config *sarama.Config) { config.Net.TLS.Config = settings })
		ok("a certificate under TLS " + name)
	}

	login := func(password string) map[string]sasl.Mechanism {
		auth := scram.Auth{User: user, Pass: password}
		return map[string]sasl.Mechanism{
			"PLAIN":         plain.Auth{User: user, Pass: password}.AsMechanism(),
			"SCRAM-SHA-256": auth.AsSha256Mechanism(),
			"SCRAM-SHA-512": auth.AsSha512Mechanism(),
		}
	}
	for name, mechanism := range login(password) {
		franzUnderTLS(ctx, kgo.DialTLSConfig(trusted), kgo.SASL(mechanism))
		saramaUnderTLS(ctx, func(config *sarama.Config) {
			config.Net.TLS.Config = trusted
			withLogin(config, name, user, password)
		})
		ok(name + " under TLS")
	}
	for name, mechanism := range login("not " + password) {
		client := franz(kgo.DialTLSConfig(trusted), kgo.SASL(mechanism))
		err := client.Ping(ctx)
		check(errors.Is(err, kerr.SaslAuthenticationFailed), "%s with a wrong password: %v", name, err)
		client.Close()
		config := saramaConfig()
		config.Net.TLS.Enable, config.Net.TLS.Config = true, trusted
		withLogin(config, name, user, "not "+password)
		config.Metadata.Retry.Max = 0
		_, err = sarama.NewClient([]string{bootstrap}, config)
		check(errors.Is(err, sarama.ErrSASLAuthenticationFailed), "%s with a wrong password: %v", name, err)
	}
	ok("wrong passwords are refused")

	client := franz(kgo.DialTLSConfig(stranger))
	err := client.Ping(ctx)
	check(errors.As(err, &unknown), "of another authority: %v", err)
	client.Close()
	config := saramaConfig()
	config.Net.TLS.Enable, config.Net.TLS.Config = true, stranger
	config.Metadata.Retry.Max = 0
	_, err = sarama.NewClient([]string{bootstrap}, config)
	check(errors.As(err, &unknown), "of another authority: %v", err)
	ok("a broker of another authority is not talked to")
}

func trusting(authority string) *tls.Config {
	pool := x509.NewCertPool()
	check(pool.AppendCertsFromPEM(got(os.ReadFile(authority))), "a certificate in %s", authority)
	return &tls.Config{RootCAs: pool}
}

// franzUnderTLS produces and consumes with these options.
func franzUnderTLS(ctx context.Context, options ...kgo.Opt) {
	topic := unique("franz-tls")
	options = append(options, kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	client := franz(options...)
	defer client.Close()
	wanted := numbered("r", 100)
	for _, value := range wanted {
		must(client.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr())
	}
	equal(valuesOf(take(ctx, client, len(wanted))), wanted, "what franz-go consumed")
}

func saramaUnderTLS(ctx context.Context, set func(*sarama.Config)) {
	config := saramaConfig()
	config.Net.TLS.Enable = true
	set(config)
	topic := unique("sarama-tls")
	producer := got(sarama.NewSyncProducer([]string{bootstrap}, config))
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("x")})
	must(err)
	must(producer.Close())
	equal(string(readAll(ctx, config, topic, 1)[0].Value), "x", "what Sarama consumed")
}

func withLogin(config *sarama.Config, mechanism, user, password string) {
	config.Net.SASL.Enable = true
	config.Net.SASL.User, config.Net.SASL.Password = user, password
	config.Net.SASL.Mechanism = sarama.SASLMechanism(mechanism)
	hashes := map[string]func() hash.Hash{"SCRAM-SHA-256": sha256.New, "SCRAM-SHA-512": sha512.New}
	if made := hashes[mechanism]; made != nil {
		config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient {
			return &saramaScram{hash: xdg.HashGeneratorFcn(made)}
		}
	}
}

// saramaScram is what Sarama's documents tell users to write: it has no SCRAM of its own.
type saramaScram struct {
	hash         xdg.HashGeneratorFcn
	conversation *xdg.ClientConversation
}

func (s *saramaScram) Begin(user, password, authorization string) error {
	client, err := s.hash.NewClient(user, password, authorization)
	if err == nil {
		s.conversation = client.NewConversation()
	}
	return err
}

func (s *saramaScram) Step(challenge string) (string, error) {
	return s.conversation.Step(challenge)
}

func (s *saramaScram) Done() bool {
	return s.conversation.Done()
}
