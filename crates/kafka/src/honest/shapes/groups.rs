//! Shapes of requests: groups.
//!
//! Made by `shapes.py` from the message definitions of Apache Kafka 4.3.0
//! (clients/src/main/resources/common/message, Apache License 2.0). Not to be edited.

use super::{Request, Shape};

pub(super) const GROUPS: &[Request] = &[
    // OffsetCommitRequest
    Request {
        key: 8,
        flexible_since: 8,
        fields: &[
            Shape::String.always(),
            Shape::Fixed(4).since(1),
            Shape::String.since(1),
            Shape::String.since(7),
            Shape::Fixed(8).until(4).since(2),
            Shape::Structs(&[
                Shape::String.until(9),
                Shape::Fixed(16).since(10),
                Shape::Structs(&[
                    Shape::Fixed(12).always(),
                    Shape::Fixed(4).since(6),
                    Shape::String.always(),
                ])
                .always(),
            ])
            .always(),
        ],
    },
    // OffsetFetchRequest
    Request {
        key: 9,
        flexible_since: 6,
        fields: &[
            Shape::String.until(7),
            Shape::Structs(&[Shape::String.until(7), Shape::Fixeds(4).until(7)]).until(7),
            Shape::Structs(&[
                Shape::String.since(8),
                Shape::String.since(9),
                Shape::Fixed(4).since(9),
                Shape::Structs(&[
                    Shape::String.until(9).since(8),
                    Shape::Fixed(16).since(10),
                    Shape::Fixeds(4).since(8),
                ])
                .since(8),
            ])
            .since(8),
            Shape::Fixed(1).since(7),
        ],
    },
    // FindCoordinatorRequest
    Request {
        key: 10,
        flexible_since: 3,
        fields: &[
            Shape::String.until(3),
            Shape::Fixed(1).since(1),
            Shape::Strings.since(4),
        ],
    },
    // JoinGroupRequest
    Request {
        key: 11,
        flexible_since: 6,
        fields: &[
            Shape::String.always(),
            Shape::Fixed(4).always(),
            Shape::Fixed(4).since(1),
            Shape::String.always(),
            Shape::String.since(5),
            Shape::String.always(),
            Shape::Structs(&[Shape::String.always(), Shape::Bytes.always()]).always(),
            Shape::String.since(8),
        ],
    },
    // HeartbeatRequest
    Request {
        key: 12,
        flexible_since: 4,
        fields: &[
            Shape::String.always(),
            Shape::Fixed(4).always(),
            Shape::String.always(),
            Shape::String.since(3),
        ],
    },
    // LeaveGroupRequest
    Request {
        key: 13,
        flexible_since: 4,
        fields: &[
            Shape::String.always(),
            Shape::String.until(2),
            Shape::Structs(&[
                Shape::String.since(3),
                Shape::String.since(3),
                Shape::String.since(5),
            ])
            .since(3),
        ],
    },
    // SyncGroupRequest
    Request {
        key: 14,
        flexible_since: 4,
        fields: &[
            Shape::String.always(),
            Shape::Fixed(4).always(),
            Shape::String.always(),
            Shape::String.since(3),
            Shape::String.since(5),
            Shape::String.since(5),
            Shape::Structs(&[Shape::String.always(), Shape::Bytes.always()]).always(),
        ],
    },
    // DescribeGroupsRequest
    Request {
        key: 15,
        flexible_since: 5,
        fields: &[Shape::Strings.always(), Shape::Fixed(1).since(3)],
    },
    // ListGroupsRequest
    Request {
        key: 16,
        flexible_since: 3,
        fields: &[Shape::Strings.since(4), Shape::Strings.since(5)],
    },
    // DeleteGroupsRequest
    Request {
        key: 42,
        flexible_since: 2,
        fields: &[Shape::Strings.always()],
    },
    // OffsetDeleteRequest
    Request {
        key: 47,
        flexible_since: 32767,
        fields: &[
            Shape::String.always(),
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Structs(&[Shape::Fixed(4).always()]).always(),
            ])
            .always(),
        ],
    },
    // ConsumerGroupHeartbeatRequest
    Request {
        key: 68,
        flexible_since: 0,
        fields: &[
            Shape::String.always(),
            Shape::String.always(),
            Shape::Fixed(4).always(),
            Shape::String.always(),
            Shape::String.always(),
            Shape::Fixed(4).always(),
            Shape::Strings.always(),
            Shape::String.since(1),
            Shape::String.always(),
            Shape::Structs(&[Shape::Fixed(16).always(), Shape::Fixeds(4).always()]).always(),
        ],
    },
    // ConsumerGroupDescribeRequest
    Request {
        key: 69,
        flexible_since: 0,
        fields: &[Shape::Strings.always(), Shape::Fixed(1).always()],
    },
];
