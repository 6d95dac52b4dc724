//! Bongsu's own paths, under [`PREFIX`], a file a family; and those that tell whether it is
//! well.

pub mod backup;

pub mod doctor;

mod health;

pub mod logs;

pub mod json;

mod groups;

mod leases;

mod moves;

pub mod overview;

mod queues;

mod records;

pub mod settings;

mod traces;

mod why;

mod session;

pub mod openapi;

use crate::route::Route;

/// What all of them begin with.
pub const PREFIX: &str = "/bongsu/v1";

/// All of them.
pub const ROUTES: &[&[Route]] = &[
    backup::ROUTES,
    doctor::ROUTES,
    settings::ROUTES,
    health::ROUTES,
    session::ROUTES,
    openapi::ROUTES,
    logs::ROUTES,
    overview::ROUTES,
    queues::ROUTES,
    leases::ROUTES,
    moves::ROUTES,
    groups::ROUTES,
    records::ROUTES,
    traces::ROUTES,
];
