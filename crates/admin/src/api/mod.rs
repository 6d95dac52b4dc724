//! RabbitMQ's management paths, a file a family.

mod overview;

use crate::route::Route;

/// All of them.
pub const ROUTES: &[&[Route]] = &[overview::ROUTES];
