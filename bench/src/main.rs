//! The load generator: AMQP 0-9-1, Kafka, NATS and Redis at a speed where the broker, not the generator, is measured.
//!
//! Blocking sockets and threads, frames encoded before the run, buffers scanned in place.
//! Reading order: [`wire`] and [`client`] (AMQP, as little as is needed), [`plan`] (what is
//! sent), [`publisher`] with its [`window`], [`chunk`] and [`pace`], [`consumer`], [`run`] (what
//! threads share), [`cases`] (what is measured), [`driven`] (restarts), [`process`] (what it cost
//! the broker), [`report`]; [`sink`] measures the generator itself. [`kafka`] has its own cases.
//! [`workload`] is the same work over every protocol, which adds [`nats`] and [`redis`];
//! [`growth`] is how cost grows; [`limits`] what no broker on this machine can pass.

mod wire;

mod client;

mod run;

mod window;

mod histogram;

mod chunk;

mod pace;

mod plan;

mod publisher;

mod consumer;

mod process;

mod report;

mod driven;

mod cases;

mod kafka;

mod pipeline;

mod nats;

mod redis;

mod workload;

mod growth;

mod limits;

mod sink;

mod supervise;

mod arguments;

use std::process::ExitCode;

use arguments::Command;

/// Everything that ends a run is told to a person.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let outcome = match arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            print!("{}", arguments::HELP);
            Ok(())
        }
        Ok(Command::List) => {
            cases::names().for_each(|name| println!("{name}"));
            Ok(())
        }
        Ok(Command::Run(options)) => cases::run(&options),
        Ok(Command::KafkaList) => {
            kafka::names().for_each(|name| println!("{name}"));
            Ok(())
        }
        Ok(Command::Kafka(options)) => kafka::run(&options),
        Ok(Command::WorkloadList) => {
            workload::names().for_each(|name| println!("{name}"));
            Ok(())
        }
        Ok(Command::Workload(protocol, options)) => workload::run(protocol, &options),
        Ok(Command::Growth(growth, options)) => growth::run(&growth, &options),
        Ok(Command::Hold {
            broker,
            share,
            count,
        }) => growth::hold(broker, share, count),
        Ok(Command::Limits {
            directory,
            seconds,
            json,
        }) => limits::measure(&directory, seconds, json),
        Ok(Command::Sink { seconds }) => sink::measure(seconds),
        Ok(Command::Supervise { command }) => supervise::become_child(&command),
        Ok(Command::Tidy { directory }) => supervise::remove_after_parent(&directory),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
