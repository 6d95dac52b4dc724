//! A whole broker on trial: engine, shell, storage and the sessions of AMQP and Kafka, as they
//! are, driven by the real driver of connections, on virtual time, over a disk and a network
//! that fail. Everything follows from a plan, and a plan from a seed.
//!
//! Reading order: [`plan`] (who takes part, what fails), [`wire`] (the network), [`host`] (the
//! machine and the process; [`crowd`] polls its connections), [`amqp`] and [`kafka`] (clients' protocols), [`clients`] (what
//! they do), [`ledger`] (what they know, and the rules), [`audit`] (the last look), [`run`]
//! (all of it, once), [`shrink`] (what is left of a plan that fails); [`hostile`] (any bytes).

pub mod plan;

pub mod wire;

pub mod crowd;

pub mod host;

pub mod amqp;

pub mod kafka;

pub mod clients;

pub mod ledger;

pub mod audit;

pub mod run;

pub mod shrink;

pub mod hostile;
