//! A broker that is none: accepts everything, throws publishes away and sends deliveries without
//! end. What the generator reaches against it is the generator's own ceiling.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::client::CHANNEL;
use crate::consumer::{Consumption, Look, Settle, consume};
use crate::plan::Plan;
use crate::process::Tree;
use crate::publisher::publish;
use crate::run::Run;
use crate::wire::{self, Input, Method, Properties};

/// Prints what publisher and consumer reach for 100 B. The sink shares the processors with them.
pub fn measure(seconds: Duration) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let broker = listener.local_addr()?;
    // Ends with the process; connections have no state that could matter then.
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || serve(socket));
        }
    });
    println!(
        "{:<36}{:>12}{:>18}",
        "against a sink, bodies of 100 B", "msg/s", "CPU cores, both"
    );
    for (name, window) in [("publish", None), ("publish, 1000 unconfirmed", Some(1000))] {
        timed(name, seconds, |run| {
            let plan = Plan {
                body_bytes: BODY_BYTES,
                window,
                ..Plan::to_queue("bench.sink")
            };
            publish(broker, &plan, run).map(drop)
        })?;
    }
    let acknowledge = Settle::Acknowledge {
        every: 100,
        prefetch: 2000,
    };
    for (name, settle) in [
        ("consume, auto-ack", Settle::Automatic),
        ("consume, ack every 100", acknowledge),
    ] {
        timed(name, seconds, |run| {
            let wanted = Consumption {
                queues: &["q".to_owned()],
                settle,
                arguments: &[],
                look: Look::Nothing,
            };
            consume(broker, wanted, run).map(drop)
        })?;
    }
    Ok(())
}

fn timed(
    name: &str,
    seconds: Duration,
    work: impl Fn(&Run) -> Result<()> + Send + Sync,
) -> Result<()> {
    let run = &Run::new();
    let work = &work;
    thread::scope(|scope| {
        let worker = scope.spawn(move || run.watch(work(run)));
        let count = |run: &Run| run.counts().sent + run.counts().delivered;
        let (count_before, cpu_before, time_before) = (count(run), Tree::own().cpu(), run.now());
        run.wait(seconds, || false);
        let elapsed = Duration::from_nanos(run.now() - time_before).as_secs_f64();
        let rate = (count(run) - count_before) as f64 / elapsed;
        let cores = (Tree::own().cpu() - cpu_before).as_secs_f64() / elapsed;
        run.stop();
        println!("{name:<36}{rate:>12.0}{cores:>18.2}");
        worker.join().expect("workers do not panic")
    })
}

/// Answers one connection until it goes. Errors mean that it went.
fn serve(mut socket: TcpStream) -> Result<()> {
    socket.set_nodelay(true)?;
    socket.read_exact(&mut [0; 8])?;
    let start = Method::new(0, wire::CONNECTION_START)
        .octet(0)
        .octet(9)
        .empty_table()
        .longstr(b"PLAIN")
        .longstr(b"en_US");
    socket.write_all(&start.finish())?;

    let mut input = Input::new(wire::INPUT_BYTES);
    let mut confirms = false;
    let mut published = 0_u64;
    let mut confirmed = 0_u64;
    loop {
        let count = socket.read(input.space())?;
        if count == 0 {
            return Ok(());
        }
        input.filled(count);
        while let Some(frame) = input.next_frame()? {
            match frame.method() {
                None | Some(wire::CONNECTION_TUNE_OK | wire::BASIC_ACK) => {}
                Some(wire::BASIC_PUBLISH) => published += 1,
                Some(wire::CONNECTION_START_OK) => {
                    let tune = Method::new(0, wire::CONNECTION_TUNE)
                        .short(0)
                        .long(wire::FRAME_BYTES_MAX)
                        .short(0);
                    socket.write_all(&tune.finish())?;
                }
                Some(id) => {
                    confirms |= id == wire::CONFIRM_SELECT;
                    let channel = if id.0 == wire::CONNECTION_OPEN.0 {
                        0
                    } else {
                        CHANNEL
                    };
                    socket.write_all(&Method::new(channel, (id.0, id.1 + 1)).finish())?;
                    if id == wire::BASIC_CONSUME {
                        let blast_to = socket.try_clone()?;
                        thread::spawn(move || blast(blast_to));
                    }
                }
            }
        }
        if confirms && published > confirmed {
            confirmed = published;
            let ack = Method::new(CHANNEL, wire::BASIC_ACK)
                .longlong(published)
                .octet(1);
            socket.write_all(&ack.finish())?;
        }
    }
}

/// Deliveries until the client is gone.
fn blast(mut socket: TcpStream) -> Result<()> {
    let mut delivery = Method::new(CHANNEL, wire::BASIC_DELIVER)
        .shortstr("bench")
        .longlong(1)
        .octet(0)
        .shortstr("")
        .shortstr("bench.sink")
        .finish();
    wire::push_content(&mut delivery, CHANNEL, &PROPERTIES, &[0; BODY_BYTES]);
    let many = delivery.repeat(wire::INPUT_BYTES / delivery.len());
    loop {
        socket.write_all(&many)?;
    }
}

const BODY_BYTES: usize = 100;
const PROPERTIES: Properties<'_> = Properties {
    persistent: true,
    priority: None,
    headers: &[],
};
