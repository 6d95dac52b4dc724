# What a Ruby user does with Bunny, one scenario a run.
#
# Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f ruby client.rb SCENARIO
#
# Debian's own package: nothing is fetched from anywhere else.

require "bunny"
require "securerandom"
require "timeout"

PATIENCE = 30
STDOUT.sync = true

def ok(behaviour)
  puts "ok #{behaviour}"
end

def unique(name)
  "#{name}-#{SecureRandom.hex(6)}"
end

def equal(found, wanted)
  raise "found #{found.inspect}, wanted #{wanted.inspect}" unless found == wanted
end

# Looks again and again until the block gives something true.
def wait_until(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
  loop do
    result = yield
    return result if result
    raise "waited #{PATIENCE} s for #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    sleep 0.02
  end
end

# The next thing that another thread puts in, within the deadline.
def take(queue, what)
  Timeout.timeout(PATIENCE, nil, "waited #{PATIENCE} s for #{what}") { queue.pop }
end

def refused(error)
  yield
  raise "not refused with #{error}"
rescue error => e
  e.message
end

def connect(**options)
  Bunny.new(ENV["AMQP_URL"], log_level: :fatal, continuation_timeout: PATIENCE * 1000, **options).start
end

def everyday
  connection = connect
  channel = connection.create_channel
  channel.confirm_select
  channel.prefetch(1)
  exchange = channel.topic(unique("weather"), durable: true)
  queue = channel.queue(unique("americas"), durable: true).bind(exchange, routing_key: "americas.#")
  exchange.publish("sunny", routing_key: "americas.south", persistent: true, headers: { "n" => [1, { "deep" => true }] })
  exchange.publish("rainy", routing_key: "europe.north")
  exchange.publish("windy", routing_key: "americas.north", type: "report", message_id: "7", timestamp: 1_700_000_000)
  equal channel.wait_for_confirms, true
  equal queue.message_count, 2
  got = Queue.new
  consumer = queue.subscribe(manual_ack: true) do |delivery, properties, body|
    got << [body, delivery.routing_key, delivery.redelivered?, properties]
    case
    when body == "sunny" && !delivery.redelivered? then channel.nack(delivery.delivery_tag, false, true)
    when body == "windy" then channel.reject(delivery.delivery_tag)
    else channel.ack(delivery.delivery_tag)
    end
  end
  sunny, again, windy = 3.times.map { take(got, "three deliveries") }
  equal [sunny, again, windy].map { |message| message[0..2] },
        [["sunny", "americas.south", false], ["sunny", "americas.south", true], ["windy", "americas.north", false]]
  equal sunny[3].headers, { "n" => [1, { "deep" => true }] }
  equal [windy[3].type, windy[3].message_id, windy[3].timestamp.to_i], ["report", "7", 1_700_000_000]
  consumer.cancel
  equal queue.message_count, 0
  ok "a topic, confirms, properties as they were, nack, reject and ack under a prefetch of one"

  returned = Queue.new
  exchange.on_return { |info, _, body| returned << [info.reply_code, info.reply_text, body] }
  exchange.publish("nobody's", routing_key: "asia", mandatory: true)
  equal take(returned, "the return"), [312, "NO_ROUTE", "nobody's"]
  ok "a mandatory message that nobody wants is returned"

  text = refused(Bunny::NotFound) { connection.create_channel.queue(unique("none"), passive: true) }
  raise text unless text.start_with?("NOT_FOUND - no queue")
  text = refused(Bunny::PreconditionFailed) { connection.create_channel.queue(queue.name, durable: false) }
  raise text unless text.include?("inequivalent arg 'durable'")
  mine = channel.queue(unique("mine"), exclusive: true)
  refused(Bunny::ResourceLocked) { other = connect; other.create_channel.queue(mine.name, exclusive: true) }
  ok "not found, other arguments, somebody else's exclusive queue: each its own exception"

  cancelled = Queue.new
  doomed = channel.queue(unique("doomed"))
  doomed.subscribe_with(Bunny::Consumer.new(channel, doomed).tap { |c| c.on_cancellation { |x| cancelled << x } })
  connection.create_channel.queue_delete(doomed.name)
  take(cancelled, "the cancel")
  ok "a consumer hears that its queue is gone"
  queue.delete
  exchange.delete
  connection.close
end

def extensions
  connection = connect
  channel = connection.create_channel
  dead = channel.queue(unique("dead"))
  short = channel.queue(unique("short"), arguments: {
    "x-message-ttl" => 50, "x-max-length" => 10, "x-expires" => 60_000,
    "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => dead.name
  })
  got = Queue.new
  dead.subscribe { |_, properties, body| got << [body, properties.headers["x-death"]] }
  short.publish("late", expiration: "60000")
  body, deaths = take(got, "a dead letter")
  death = deaths.first
  equal [body, death["reason"], death["queue"], death["count"], death["exchange"], death["routing-keys"]],
        ["late", "expired", short.name, 1, "", [short.name]]
  equal death["original-expiration"], "60000"
  ok "the lower of two lifetimes counts; x-death tells of it"

  urgent = channel.queue(unique("urgent"), arguments: { "x-max-priority" => 5 })
  [1, 5, 0, 3].each { |priority| urgent.publish(priority.to_s, priority: priority) }
  wait_until("four messages") { urgent.message_count == 4 }
  equal 4.times.map { urgent.pop[2] }, %w[5 3 1 0]
  ok "priorities"

  requests = channel.queue(unique("requests"))
  server = connection.create_channel
  server.queue(requests.name, passive: true).subscribe do |_, properties, body|
    server.default_exchange.publish(body.upcase, routing_key: properties.reply_to, correlation_id: properties.correlation_id)
  end
  answers = Queue.new
  caller = connection.create_channel
  replies = caller.queue("amq.rabbitmq.reply-to", no_declare: true)
  replies.subscribe { |_, properties, body| answers << [properties.correlation_id, body] }
  3.times do |number|
    caller.default_exchange.publish("hello #{number}", routing_key: requests.name,
                                    reply_to: "amq.rabbitmq.reply-to", correlation_id: number.to_s)
    equal take(answers, "an answer"), [number.to_s, "HELLO #{number}"]
  end
  ok "request and reply over direct reply-to"

  atomic = connection.create_channel
  atomic.tx_select
  plain = channel.queue(unique("plain"))
  2.times { atomic.default_exchange.publish("x", routing_key: plain.name) }
  equal plain.message_count, 0
  atomic.tx_commit
  equal plain.message_count, 2
  atomic.default_exchange.publish("y", routing_key: plain.name)
  atomic.tx_rollback
  equal plain.message_count, 2
  ok "a transaction shows its messages on commit, and none on rollback"

  source = channel.fanout(unique("source"))
  spare = channel.fanout(unique("spare"))
  matching = channel.headers(unique("matching"), arguments: { "alternate-exchange" => spare.name })
  matching.bind(source)
  caught = channel.queue("", exclusive: true).bind(matching, arguments: { "x-match" => "all", "kind" => "a", "size" => 2 })
  rest = channel.queue("", exclusive: true).bind(spare)
  source.publish("caught", headers: { "kind" => "a", "size" => 2 })
  source.publish("rest", headers: { "kind" => "a", "size" => 3 })
  equal wait_until("the match") { caught.pop[2] }, "caught"
  equal wait_until("the rest") { rest.pop[2] }, "rest"
  ok "an exchange bound to an exchange, headers, and an alternate for the rest"

  [dead, short, urgent, requests, plain].each(&:delete)
  [source, spare, matching].each(&:delete)
  connection.close
end

def reconnect
  connection = connect(network_recovery_interval: 0.2, recover_from_connection_close: true)
  channel = connection.create_channel
  channel.confirm_select
  kept = channel.queue(unique("kept"), durable: true)
  100.times { |number| kept.publish(number.to_s, persistent: true) }
  equal channel.wait_for_confirms, true
  news = channel.fanout(unique("news"), durable: true)
  mine = channel.queue("", exclusive: true).bind(news)
  heard = Queue.new
  mine.subscribe { |_, _, body| heard << body }
  news.publish("before")
  equal take(heard, "news"), "before"
  equal channel.wait_for_confirms, true

  before = mine.name
  puts "KILL ME"
  wait_until("the broker to be killed") { !connection.open? || mine.name != before }
  # Bunny opens its channels, declares and consumes again by itself, the server-named queue under a new name.
  wait_until("the consumer's queue on the new connection") { connection.open? && mine.name != before }
  wait_until("news after the restart") do
    begin
      news.publish("after")
    rescue StandardError
      nil
    end
    !heard.empty?
  end
  equal take(heard, "news"), "after"
  ok "connection, channel, queue of its own, binding and consumer come back by themselves"

  fresh = connect
  queue = fresh.create_channel.queue(kept.name, passive: true)
  found = []
  while (body = queue.pop[2])
    found << body
  end
  equal found, 100.times.map(&:to_s)
  ok "what was confirmed before the broker was killed is there after it, in order"
  fresh.close
  connection.close
end

{ "everyday" => method(:everyday), "extensions" => method(:extensions), "reconnect" => method(:reconnect) }
  .fetch(ARGV.fetch(0)).call
