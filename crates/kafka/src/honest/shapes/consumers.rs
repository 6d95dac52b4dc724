//! Shapes of what classic consumers say to each other.
//!
//! Made by `shapes.py` from the message definitions of Apache Kafka 4.3.0
//! (clients/src/main/resources/common/message, Apache License 2.0). Not to be edited.

use super::{Request, Shape};

pub(in super::super) const SUBSCRIPTION: Request = // ConsumerProtocolSubscription
    Request {
        key: -1,
        flexible_since: 32767,
        fields: &[
            Shape::Strings.always(),
            Shape::Bytes.always(),
            Shape::Structs(&[Shape::String.since(1), Shape::Fixeds(4).since(1)]).since(1),
            Shape::Fixed(4).since(2),
            Shape::String.since(3),
        ],
    };

pub(in super::super) const ASSIGNMENT: Request = // ConsumerProtocolAssignment
    Request {
        key: -1,
        flexible_since: 32767,
        fields: &[
            Shape::Structs(&[Shape::String.always(), Shape::Fixeds(4).always()]).always(),
            Shape::Bytes.always(),
        ],
    };
