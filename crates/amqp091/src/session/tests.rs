//! Whole conversations: as texts that can be read, split anywhere, and broken.

mod client;

mod world;

mod histories;

mod splits;

mod noise;

mod golden;

mod deliveries;

mod transactions;

mod methods;
