import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultSaslConfig;
import com.rabbitmq.client.GetResponse;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLHandshakeException;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * Passwords and certificates under TLS. The broker's authority, the key store of a user and another authority are in
 * the environment, the broker's address in AMQP_URL.
 */
class UnderTls {
  private static final char[] PASSPHRASE = "passphrase".toCharArray();

  static void run() throws Exception {
    String authority = System.getenv("TLS_AUTHORITY");
    for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
      ConnectionFactory factory = factory(context(authority, null));
      factory.setSocketConfigurator(socket -> {
        ((SSLSocket) socket).setEnabledProtocols(new String[] {version});
      });
      roundTrip(factory, "guest");
      System.out.println("ok a password under " + version);
    }

    ConnectionFactory factory = factory(context(authority, System.getenv("TLS_KEY_STORE")));
    factory.setSaslConfig(DefaultSaslConfig.EXTERNAL);
    roundTrip(factory, System.getenv("TLS_USER"));
    System.out.println("ok EXTERNAL by a certificate");

    factory = factory(context(authority, null));
    factory.setSaslConfig(DefaultSaslConfig.EXTERNAL);
    refused(factory, IOException.class);
    System.out.println("ok EXTERNAL is nothing without one");

    refused(factory(context(System.getenv("TLS_STRANGER"), null)), SSLHandshakeException.class);
    System.out.println("ok a broker of another authority is not talked to");
    // The client leaves the connection on which it found no mechanism to the broker's patience.
    System.exit(0);
  }

  private static ConnectionFactory factory(SSLContext context) throws Exception {
    ConnectionFactory factory = Client.factory();
    factory.useSslProtocol(context);
    factory.enableHostnameVerification();
    return factory;
  }

  private static SSLContext context(String authority, String keyStore) throws Exception {
    KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
    trusted.load(null, null);
    try (InputStream file = new FileInputStream(authority)) {
      trusted.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(file));
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(trusted);
    KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    if (keyStore != null) {
      KeyStore own = KeyStore.getInstance("PKCS12");
      try (InputStream file = new FileInputStream(keyStore)) {
        own.load(file, PASSPHRASE);
      }
      keys.init(own, PASSPHRASE);
    }
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keyStore == null ? null : keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }

  /** Publishes more than a TLS record holds, in the name of the user, and gets it back. */
  private static void roundTrip(ConnectionFactory factory, String user) throws Exception {
    try (Connection connection = factory.newConnection()) {
      Channel channel = connection.createChannel();
      channel.confirmSelect();
      String queue = channel.queueDeclare().getQueue();
      byte[] body = new byte[1_000_000];
      Arrays.fill(body, (byte) 'x');
      channel.basicPublish("", queue, new AMQP.BasicProperties.Builder().userId(user).build(), body);
      channel.waitForConfirmsOrDie(20_000);
      GetResponse got = channel.basicGet(queue, true);
      Client.check(got != null && Arrays.equals(got.getBody(), body), "another message came back");
    }
  }

  private static void refused(ConnectionFactory factory, Class<? extends Exception> wanted) {
    try (Connection connection = factory.newConnection()) {
      throw new AssertionError("let in: " + connection);
    } catch (Exception thrown) {
      Client.check(wanted.isInstance(thrown), thrown + " instead of " + wanted.getName());
    }
  }
}
