<?php

// What a PHP user does with php-amqplib, one scenario a run.
//
// Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f php client.php SCENARIO
//
// Debian's own package: nothing is fetched from anywhere else.

declare(strict_types=1);

require '/usr/share/php/PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Exception\AMQPTimeoutException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const PATIENCE = 30;

function ok(string $behaviour): void
{
    echo "ok $behaviour\n";
}

function unique(string $name): string
{
    return $name . '-' . bin2hex(random_bytes(6));
}

function equal(mixed $found, mixed $wanted): void
{
    if ($found !== $wanted) {
        throw new Exception('found ' . var_export($found, true) . ', wanted ' . var_export($wanted, true));
    }
}

/** Serves the channel until there is what is waited for. */
function until(AMQPChannel $channel, callable $done, string $what): void
{
    $deadline = microtime(true) + PATIENCE;
    while (!$done()) {
        if (microtime(true) > $deadline) {
            throw new Exception('waited ' . PATIENCE . " s for $what");
        }
        try {
            $channel->wait(null, false, 0.5);
        } catch (AMQPTimeoutException) {
            // Nothing came yet.
        }
    }
}

/** The next message of a queue, looked for until there is one. */
function get(AMQPChannel $channel, string $queue): AMQPMessage
{
    $deadline = microtime(true) + PATIENCE;
    while (!($message = $channel->basic_get($queue, true))) {
        if (microtime(true) > $deadline) {
            throw new Exception("waited " . PATIENCE . " s for a message in $queue");
        }
        usleep(20_000);
    }
    return $message;
}

function count_of(AMQPChannel $channel, string $queue): int
{
    return $channel->queue_declare($queue, true)[1];
}

function refused(AMQPStreamConnection $connection, int $code, callable $ask): void
{
    try {
        $ask($connection->channel());
    } catch (AMQPProtocolChannelException $error) {
        equal($error->getCode(), $code);
        return;
    }
    throw new Exception("not refused with $code");
}

function connect(): AMQPStreamConnection
{
    $url = parse_url(getenv('AMQP_URL'));
    return new AMQPStreamConnection(
        $url['host'],
        $url['port'],
        $url['user'],
        $url['pass'],
        rawurldecode(substr($url['path'], 1)),
        read_write_timeout: PATIENCE,
        heartbeat: 10,
    );
}

function everyday(): void
{
    $connection = connect();
    $channel = $connection->channel();
    // Old programs ask for a ticket first; any answer will do.
    $channel->access_request('/data', false, false, true, true, true);
    $exchange = unique('router');
    $queue = unique('msgs');
    $channel->queue_declare($queue, false, true, false, false);
    $channel->exchange_declare($exchange, 'direct', false, true, false);
    $channel->queue_bind($queue, $exchange, 'msg');

    $headers = [
        'text' => 'ü', 'long' => -1, 'big' => 1 << 40, 'true' => true, 'nothing' => null,
        'list' => ['a', 2, ['deep' => 'b']], 'table' => ['nested' => ['more' => 1]],
    ];
    $acked = 0;
    $returned = [];
    $channel->set_ack_handler(function () use (&$acked) { $acked++; });
    $channel->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$returned) {
        $returned[] = [$code, $text, $key, $message->body];
    });
    $channel->confirm_select();
    $channel->basic_publish(new AMQPMessage('first', [
        'content_type' => 'text/plain', 'delivery_mode' => 2, 'application_headers' => new AMQPTable($headers),
    ]), $exchange, 'msg');
    foreach (['second', 'third', 'fourth'] as $body) {
        $channel->batch_basic_publish(new AMQPMessage($body, ['delivery_mode' => 2]), $exchange, 'msg');
    }
    $channel->publish_batch();
    $channel->basic_publish(new AMQPMessage('lost'), $exchange, 'nobody', true);
    $channel->wait_for_pending_acks_returns(PATIENCE);
    equal($acked, 5);
    equal($returned, [[312, 'NO_ROUTE', 'nobody', 'lost']]);
    ok('access.request, confirms of a batch, a return before its confirm');

    $got = [];
    $channel->basic_qos(0, 2, false);
    $tag = $channel->basic_consume($queue, '', false, false, false, false, function (AMQPMessage $message) use (&$got, $headers) {
        $got[] = [$message->body, $message->isRedelivered()];
        if ($message->body === 'first') {
            equal($message->get('application_headers')->getNativeData(), $headers);
        }
        match (true) {
            $message->body === 'second' && !$message->isRedelivered() => $message->nack(true),
            $message->body === 'third' => $message->reject(false),
            default => $message->ack(),
        };
    });
    until($channel, function () use (&$got) { return count($got) === 5; }, 'five deliveries');
    sort($got);
    equal($got, [['first', false], ['fourth', false], ['second', false], ['second', true], ['third', false]]);
    $channel->basic_cancel($tag);
    equal(count_of($channel, $queue), 0);
    ok('headers of every type come back as they were; ack, nack and reject');

    foreach (['a', 'b'] as $body) {
        $channel->basic_publish(new AMQPMessage($body), '', $queue);
    }
    $channel->wait_for_pending_acks(PATIENCE);
    equal([$channel->basic_get($queue)->body, $channel->basic_get($queue)->body], ['a', 'b']);
    $channel->basic_recover(true);
    equal(get($channel, $queue)->body, 'a');
    equal($channel->queue_purge($queue), 1);
    ok('get, recover and purge');

    refused($connection, 404, fn ($other) => $other->queue_declare(unique('none'), true));
    refused($connection, 406, fn ($other) => $other->queue_declare($queue, false, false));
    refused($connection, 403, fn ($other) => $other->exchange_delete('amq.topic'));
    ok('what is not there, is other, or may not be, is refused with its code, and the connection lives');
    $channel->queue_delete($queue);
    $channel->exchange_delete($exchange);
    $connection->close();
}

function extensions(): void
{
    $connection = connect();
    $channel = $connection->channel();
    $channel->confirm_select();

    // As Symfony's Messenger delays and retries: a queue for each delay, which goes when it is not used.
    $exchange = unique('messages');
    $delays = unique('delays');
    $queue = unique('work');
    $channel->exchange_declare($exchange, 'fanout', false, true, false);
    $channel->exchange_declare($delays, 'direct', false, true, false);
    $channel->queue_declare($queue, false, true, false, false);
    $channel->queue_bind($queue, $exchange);
    $delay = 300;
    $delayed = "delay_{$exchange}__{$delay}_delay";
    $channel->queue_declare($delayed, false, true, false, false, false, new AMQPTable([
        'x-message-ttl' => $delay,
        'x-expires' => $delay + 3000,
        'x-dead-letter-exchange' => $exchange,
        'x-dead-letter-routing-key' => '',
    ]));
    $channel->queue_bind($delayed, $delays, $delayed);
    $sent = microtime(true);
    $channel->basic_publish(new AMQPMessage('later', ['delivery_mode' => 2]), $delays, $delayed);
    $channel->wait_for_pending_acks(PATIENCE);
    $message = get($channel, $queue);
    equal($message->body, 'later');
    if (microtime(true) < $sent + $delay / 1000) {
        throw new Exception('delivered before its time');
    }
    $death = $message->get('application_headers')->getNativeData()['x-death'][0];
    equal([$death['reason'], $death['queue'], $death['count']], ['expired', $delayed, 1]);
    ok('a delay as Symfony makes it: a queue with a lifetime and a dead letter exchange');
    $deadline = microtime(true) + PATIENCE;
    do {
        $probe = $connection->channel();
        try {
            // Each look keeps the queue: what is idle is what nobody declares, for as long as it says.
            usleep(($delay + 3200) * 1000);
            count_of($probe, $delayed);
            $gone = false;
            $probe->close();
        } catch (AMQPProtocolChannelException $error) {
            equal($error->getCode(), 404);
            $gone = true;
        }
    } while (!$gone && microtime(true) < $deadline);
    equal($gone, true);
    ok('the queue of the delay goes when nobody uses it');

    $urgent = unique('urgent');
    $channel->queue_declare($urgent, false, false, true, true, false, new AMQPTable(['x-max-priority' => 10]));
    foreach ([1, 10, 0, 5] as $priority) {
        $channel->basic_publish(new AMQPMessage((string) $priority, ['priority' => $priority]), '', $urgent);
    }
    $channel->wait_for_pending_acks(PATIENCE);
    equal(array_map(fn () => get($channel, $urgent)->body, range(1, 4)), ['10', '5', '1', '0']);
    ok('priorities');

    $full = unique('full');
    $channel->queue_declare($full, false, false, true, true, false, new AMQPTable([
        'x-max-length' => 2, 'x-overflow' => 'reject-publish',
    ]));
    $nacked = [];
    $channel->set_nack_handler(function (AMQPMessage $message) use (&$nacked) { $nacked[] = $message->body; });
    foreach (['a', 'b', 'c'] as $body) {
        $channel->basic_publish(new AMQPMessage($body), '', $full);
        $channel->wait_for_pending_acks(PATIENCE);
    }
    equal($nacked, ['c']);
    ok('what a full queue rejects is nacked');

    $requests = unique('requests');
    $channel->queue_declare($requests, false, false, true, true);
    $caller = $connection->channel();
    $answers = [];
    $caller->basic_consume('amq.rabbitmq.reply-to', '', false, true, false, false, function ($message) use (&$answers) {
        $answers[] = [$message->get('correlation_id'), $message->body];
    });
    $channel->basic_consume($requests, '', false, true, false, false, function ($message) use ($channel) {
        $answer = new AMQPMessage(strtoupper($message->body), ['correlation_id' => $message->get('correlation_id')]);
        $channel->basic_publish($answer, '', $message->get('reply_to'));
    });
    $request = new AMQPMessage('hello', ['reply_to' => 'amq.rabbitmq.reply-to', 'correlation_id' => '1']);
    $caller->basic_publish($request, '', $requests);
    until($channel, function () use (&$answers, $caller) {
        try {
            $caller->wait(null, false, 0.1);
        } catch (AMQPTimeoutException) {
            // The server, on the other channel, has its turn.
        }
        return (bool) $answers;
    }, 'the answer');
    equal($answers, [['1', 'HELLO']]);
    ok('request and reply over direct reply-to');

    $atomic = $connection->channel();
    $atomic->tx_select();
    $left = unique('left');
    $right = unique('right');
    foreach ([$left, $right] as $name) {
        $atomic->queue_declare($name, false, false, true, true);
    }
    $atomic->basic_publish(new AMQPMessage('x'), '', $left);
    equal(count_of($atomic, $left), 0);
    $atomic->tx_commit();
    equal(count_of($atomic, $left), 1);
    $message = $atomic->basic_get($left);
    $atomic->basic_ack($message->getDeliveryTag());
    $atomic->basic_publish(new AMQPMessage('y'), '', $right);
    $atomic->tx_rollback();
    equal(count_of($atomic, $right), 0);
    // An ack that was rolled back leaves its message with whom it was delivered to.
    $atomic->basic_ack($message->getDeliveryTag());
    $atomic->tx_commit();
    $atomic->close();
    equal(count_of($connection->channel(), $left), 0);
    ok('transactions over publishes and acks');

    $channel->queue_delete($queue);
    $channel->exchange_delete($exchange);
    $channel->exchange_delete($delays);
    $connection->close();
}

try {
    match ($argv[1]) {
        'everyday' => everyday(),
        'extensions' => extensions(),
    };
} catch (Throwable $failure) {
    echo $failure, "\n";
    exit(1);
}
